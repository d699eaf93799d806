//! A bare echo: what a WebSocket server costs that does nothing, beside which a venue's latency can be judged.
//!
//! tokio-tungstenite alone, a task a connection, on a runtime like the gateway's. It answers each request with as many
//! bytes as a venue's acknowledgement has, and knows nothing of it but its id.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::scan::scan_id;

/// Bytes of an answer, as a venue's to an order with `newOrderRespType=ACK` and the budget's three lines.
const ANSWER_BYTES: usize = 420;

/// Serves for as long as the runtime lives.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(echo(stream));
    }
}

async fn echo(stream: TcpStream) {
    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(request) = message else { continue };
        let Some(id) = scan_id(request.as_bytes()) else { return };
        let mut answer = format!("{{\"id\":{id},\"status\":200,\"result\":{{\"pad\":\"");
        answer.extend(std::iter::repeat_n('x', ANSWER_BYTES.saturating_sub(answer.len() + 3)));
        answer.push_str("\"}}");
        if socket.send(Message::text(answer)).await.is_err() {
            return;
        }
    }
}
