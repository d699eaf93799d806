// The npm package `binance` against a venue, with nothing of it changed but addresses and key: REST, WebSocket API, streams.
// usage: API_KEY=... PRIVATE_KEY_FILE=... NODE_ROOT=folder/ node binance_client.mjs http://127.0.0.1:9000
import assert from 'assert';
import fs from 'fs';
import { createRequire } from 'module';

const require = createRequire(process.env.NODE_ROOT);
const { MainClient, WebsocketClient, WebsocketAPIClient } = require('binance');
const base = process.argv[2];
const socket = base.replace(/^http/, 'ws');
const key = { api_key: process.env.API_KEY, api_secret: fs.readFileSync(process.env.PRIVATE_KEY_FILE, 'utf8') };
const quiet = { trace() {}, info() {}, error: console.error };

const rest = new MainClient({ ...key, baseUrl: base, disableTimeSync: true });
const info = await rest.getExchangeInfo({ symbol: 'BTCUSDT' });
assert.equal(info.symbols[0].symbol, 'BTCUSDT');
assert((await rest.getOrderBook({ symbol: 'BTCUSDT', limit: 5 })).lastUpdateId);
assert((await rest.getAccountInformation()).balances.length);
const order = await rest.submitNewOrder({
  symbol: 'BTCUSDT', side: 'BUY', type: 'LIMIT', timeInForce: 'GTC', quantity: 0.01, price: 50000.5, newOrderRespType: 'FULL',
});
assert.equal(order.status, 'NEW');
assert.equal((await rest.getOrder({ symbol: 'BTCUSDT', orderId: order.orderId })).status, 'NEW');
assert.equal((await rest.cancelOrder({ symbol: 'BTCUSDT', orderId: order.orderId })).status, 'CANCELED');
await assert.rejects(rest.cancelOrder({ symbol: 'BTCUSDT', orderId: 999999999 }), { code: -2011 });
console.log('rest done');

const api = new WebsocketAPIClient({ ...key, wsUrl: socket, disableTimeSync: true, attachEventListeners: false }, quiet);
const placed = await api.submitNewSpotOrder({
  symbol: 'BTCUSDT', side: 'SELL', type: 'LIMIT', timeInForce: 'GTC', quantity: '0.01', price: '70000.10', timestamp: Date.now(),
});
assert.equal(placed.result.status, 'NEW');
const status = await api.getSpotOrderStatus({ symbol: 'BTCUSDT', orderId: placed.result.orderId, timestamp: Date.now() });
assert.equal(status.result.status, 'NEW');
const gone = await api.cancelSpotOrder({ symbol: 'BTCUSDT', orderId: placed.result.orderId, timestamp: Date.now() });
assert.equal(gone.result.status, 'CANCELED');
api.disconnectAll();
console.log('websocket api done');

const streams = new WebsocketClient({ wsUrl: `${socket}/ws`, disableTimeSync: true }, quiet);
const seen = new Set();
streams.on('message', (message) => message.e && seen.add(message.e));
streams.on('exception', (exception) => console.error('exception', exception));
await streams.subscribe(['btcusdt@trade', 'btcusdt@depth@100ms', 'btcusdt@kline_1m', 'btcusdt@aggTrade'], 'main');
const until = Date.now() + 20000;
while (seen.size < 4 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
assert.deepEqual([...seen].sort(), ['aggTrade', 'depthUpdate', 'kline', 'trade']);
console.log('PASS binance');
process.exit(0);
