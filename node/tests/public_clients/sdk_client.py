"""The public API's modular SDK for Python, unmodified, against a demonstration: HTTP, requests over WebSocket in a session and
signed one by one, private events, public streams. Only the addresses and the key are its own to be set.

usage: sdk_client.py BASE, with API_KEY and PRIVATE_KEY_FILE in the environment
"""

import asyncio
import logging
import os
import sys

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_spot.spot import Spot

BASE = sys.argv[1]
SOCKETS = BASE.replace("http", "ws", 1)
KEY = {"api_key": os.environ["API_KEY"], "private_key": os.environ["PRIVATE_KEY_FILE"]}
MARKET = "BTCUSDT"
LIMIT = {"time_in_force": "GTC", "quantity": 0.001}

logging.disable(logging.CRITICAL)


def check(condition, what):
    if not condition:
        raise SystemExit(f"FAIL {what}")


def over_http(rest):
    check(rest.exchange_info(symbol=MARKET).data().symbols[0].symbol == MARKET, "exchange information")
    check(rest.depth(MARKET, limit=5).data().bids, "depth")
    check(rest.klines(MARKET, "1m").data(), "klines")
    order = rest.new_order(MARKET, "BUY", "LIMIT", price=50000.5, **LIMIT).data()
    check(rest.get_order(MARKET, order_id=order.order_id).data().status == "NEW", "order")
    canceled = rest.delete_open_orders(MARKET).data()
    check(any(one.order_id == order.order_id for one in canceled), "cancel")
    check(rest.get_account().data().balances, "balances")


async def over_websocket(spot):
    connection = await spot.websocket_api.create_connection()
    try:
        signed = (await connection.order_place(MARKET, "SELL", "LIMIT", price=70000, **LIMIT)).data()
        check(signed.result.order_id > 0, "a signed order")
        await connection.session_logon()
        events = []
        subscribed = await connection.user_data_stream_subscribe()
        subscribed.stream.on("message", lambda event: events.append(event))
        placed = (await connection.order_place(MARKET, "SELL", "LIMIT", price=70000.1, **LIMIT)).data()
        canceled = (await connection.open_orders_cancel_all(MARKET)).data().result
        ids = {one.order_id for one in canceled}
        check({signed.result.order_id, placed.result.order_id} <= ids, "cancel all")
        for _ in range(100):
            if len(events) >= 2:
                break
            await asyncio.sleep(0.1)
        check(len(events) >= 2, "private events")
        await connection.session_logout()
    finally:
        await connection.close_connection(close_session=True)


async def streams(spot):
    connection = await spot.websocket_streams.create_connection()
    seen = set()
    try:
        wanted = {
            "book_ticker": {},
            "diff_book_depth": {},
            "partial_book_depth": {"levels": "5"},
            "kline": {"interval": "1m"},
        }
        for name, more in wanted.items():
            stream = await getattr(connection, name)(symbol=MARKET.lower(), **more)
            stream.on("message", lambda _, name=name: seen.add(name))
        for _ in range(100):
            if seen == set(wanted):
                break
            await asyncio.sleep(0.1)
        check(seen == set(wanted), f"streams: only {seen}")
    finally:
        await connection.close_connection(close_session=True)


async def main():
    spot = Spot(
        config_rest_api=ConfigurationRestAPI(base_path=BASE, **KEY),
        config_ws_api=ConfigurationWebSocketAPI(stream_url=f"{SOCKETS}/ws-api/v3", **KEY),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=SOCKETS),
    )
    over_http(spot.rest_api)
    await over_websocket(spot)
    await streams(spot)
    print("PASS sdk: http, signed and in a session, private events, streams")


asyncio.run(main())
