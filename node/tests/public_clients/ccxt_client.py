# ccxt against a venue, with nothing of it changed but addresses and key: REST, then its WebSocket side (ccxt.pro).
# usage: API_KEY=... PRIVATE_KEY_FILE=... python ccxt_client.py http://127.0.0.1:9000
import asyncio
import os
import sys

import ccxt.pro

BASE = sys.argv[1]
STREAMS = BASE.replace("http", "ws", 1)


def exchange():
    venue = ccxt.pro.binance({
        "apiKey": os.environ["API_KEY"],
        # ccxt signs with Ed25519 when the secret is a PEM key.
        "secret": open(os.environ["PRIVATE_KEY_FILE"]).read(),
        "enableRateLimit": False,
        # It trusts a bundle of its own unless it is told another one.
        **({"cafile": os.environ["SSL_CERT_FILE"]} if "SSL_CERT_FILE" in os.environ else {}),
        "options": {
            "defaultType": "spot",
            # This venue has spot markets only; the others are asked of other hosts.
            "fetchMarkets": {"types": ["spot"]},
            "fetchMargins": False,
            "fetchCurrencies": False,
            "warnOnFetchOpenOrdersWithoutSymbol": False,
        },
    })
    venue.urls["api"]["public"] = BASE + "/api/v3"
    venue.urls["api"]["private"] = BASE + "/api/v3"
    venue.urls["api"]["sapi"] = BASE + "/sapi/v1"
    venue.urls["api"]["ws"]["spot"] = STREAMS + "/ws"
    venue.urls["api"]["ws"]["ws-api"]["spot"] = STREAMS + "/ws-api/v3"
    return venue


async def rest(venue):
    markets = await venue.load_markets()
    market = markets["BTC/USDT"]
    assert market["active"] and market["precision"]["price"] == 0.01, market
    assert await venue.fetch_time() > 1_700_000_000_000
    book = {"bids": [], "asks": []}
    while not (book["bids"] and book["asks"]):
        book = await venue.fetch_order_book("BTC/USDT", 5)
    assert book["bids"][0][0] < book["asks"][0][0], book
    assert (await venue.fetch_ticker("BTC/USDT"))["last"] > 0
    assert await venue.fetch_trades("BTC/USDT", limit=5)
    assert await venue.fetch_ohlcv("BTC/USDT", "1m", limit=2)
    before = await venue.fetch_balance()
    assert before["USDT"]["free"] > 1000, before["USDT"]
    order = await venue.create_order("BTC/USDT", "limit", "buy", 0.01, 50000.5)
    assert order["status"] == "open", order
    assert (await venue.fetch_order(order["id"], "BTC/USDT"))["price"] == 50000.5
    assert order["id"] in [one["id"] for one in await venue.fetch_open_orders("BTC/USDT")]
    held = await venue.fetch_balance()
    assert held["USDT"]["used"] >= before["USDT"]["used"] + 500
    assert (await venue.cancel_order(order["id"], "BTC/USDT"))["status"] == "canceled"
    taken = await venue.create_order("BTC/USDT", "market", "buy", 0.001)
    assert taken["status"] == "closed" and taken["filled"] == 0.001, taken
    assert taken["id"] in [one["order"] for one in await venue.fetch_my_trades("BTC/USDT")]
    assert taken["id"] in [one["id"] for one in await venue.fetch_orders("BTC/USDT")]
    try:
        await venue.cancel_order("999999999", "BTC/USDT")
        raise SystemExit("an unknown order was cancelled")
    except ccxt.OrderNotFound:
        pass
    try:
        await venue.create_order("BTC/USDT", "limit", "buy", 100000, 50000.5)
        raise SystemExit("an order without money was taken")
    except (ccxt.InsufficientFunds, ccxt.InvalidOrder):
        pass


async def streams(venue):
    while not (await venue.watch_order_book("BTC/USDT"))["bids"]:
        pass
    assert (await venue.watch_trades("BTC/USDT"))[0]["price"] > 0
    # The maker takes its quotes away before it puts others there, so for a moment a side may have none.
    while (await venue.watch_bids_asks(["BTC/USDT"]))["BTC/USDT"]["bid"] is None:
        pass
    assert await venue.watch_ohlcv("BTC/USDT", "1m")


async def orders_over_websocket(venue):
    order = await venue.create_order_ws("BTC/USDT", "limit", "sell", 0.01, 70000.1)
    assert order["status"] == "open", order
    assert (await venue.fetch_order_ws(order["id"], "BTC/USDT"))["status"] == "open"
    # A question and a cancel with the same parameters in the same millisecond would be one signed text for two purposes,
    # and such a text is good for the first of them only.
    await asyncio.sleep(0.005)
    assert (await venue.cancel_order_ws(order["id"], "BTC/USDT"))["status"] == "canceled"
    # This release forgets the market's type when it reads the answer, so only what was sent is looked at.
    assert float((await venue.fetch_balance_ws())["info"]["balances"][0]["free"]) > 0


async def private_events(venue):
    watching = asyncio.ensure_future(venue.watch_orders("BTC/USDT"))
    # The subscription has no answer that could be waited for from outside.
    while not watching.done():
        order = await venue.create_order("BTC/USDT", "limit", "buy", 0.01, 50000.5)
        await venue.cancel_order(order["id"], "BTC/USDT")
    assert watching.result()[0]["symbol"] == "BTC/USDT"


async def main():
    venue = exchange()
    try:
        for step in (rest, streams, orders_over_websocket, private_events):
            await asyncio.wait_for(step(venue), 30)
            print(step.__name__, "done")
    finally:
        await venue.close()
    print("PASS ccxt", ccxt.__version__)


asyncio.run(main())
