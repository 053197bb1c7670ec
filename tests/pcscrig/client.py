"""Obeys one PC/SC verb per line of standard input, one line of answer each:
"ok HEX" or "err TEXT". Started by package pcscrig with the reader's name."""

import sys

from smartcard.scard import (
    SCARD_E_TIMEOUT, SCARD_LEAVE_CARD, SCARD_PCI_T0, SCARD_PCI_T1,
    SCARD_PROTOCOL_T0, SCARD_PROTOCOL_T1, SCARD_RESET_CARD, SCARD_S_SUCCESS, SCARD_SCOPE_SYSTEM,
    SCARD_SHARE_SHARED, SCARD_STATE_EMPTY, SCARD_STATE_PRESENT, SCARD_STATE_UNAWARE,
    SCARD_UNPOWER_CARD, SCardConnect, SCardDisconnect, SCardEstablishContext, SCardGetErrorMessage,
    SCardGetStatusChange, SCardListReaders, SCardReconnect, SCardStatus, SCardTransmit)


class Failure(Exception):
    pass


def check(rv):
    if rv != SCARD_S_SUCCESS:
        raise Failure(SCardGetErrorMessage(rv))


class Client:
    def __init__(self, reader):
        self.reader = reader
        self.card = None
        self.protocol = 0
        rv, self.context = SCardEstablishContext(SCARD_SCOPE_SYSTEM)
        check(rv)

    def wait(self, state):
        """Waits until the reader's state has this bit; returns the ATR."""
        seen = SCARD_STATE_UNAWARE
        while True:
            rv, states = SCardGetStatusChange(self.context, 1000, [(self.reader, seen)])
            if rv == SCARD_E_TIMEOUT:
                continue
            check(rv)
            _, seen, atr = states[0]
            if seen & state:
                return bytes(atr)

    def readers(self, _):
        rv, names = SCardListReaders(self.context, [])
        check(rv)
        return "\n".join(names).encode()

    def wait_card(self, _):
        return self.wait(SCARD_STATE_PRESENT)

    def wait_empty(self, _):
        return self.wait(SCARD_STATE_EMPTY)

    def status(self, _):
        rv, _, _, _, atr = SCardStatus(self.card)
        check(rv)
        return bytes(atr)

    def connect(self, _):
        if self.card is not None:
            SCardDisconnect(self.card, SCARD_LEAVE_CARD)
            self.card = None
        rv, card, self.protocol = SCardConnect(
            self.context, self.reader, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1)
        check(rv)
        self.card = card
        return self.status(None)

    def reset(self, _):
        rv, self.protocol = SCardReconnect(
            self.card, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1, SCARD_RESET_CARD)
        check(rv)
        return self.status(None)

    def unpower(self, _):
        rv = SCardDisconnect(self.card, SCARD_UNPOWER_CARD)
        self.card = None
        check(rv)
        return b""

    def transmit(self, apdu):
        pci = SCARD_PCI_T1 if self.protocol == SCARD_PROTOCOL_T1 else SCARD_PCI_T0
        rv, answer = SCardTransmit(self.card, pci, list(bytes.fromhex(apdu)))
        check(rv)
        return bytes(b & 0xFF for b in answer)


def main():
    try:
        client = Client(sys.argv[1])
    except Failure as e:
        print("err", e, flush=True)
        return
    print("ok", flush=True)
    for line in sys.stdin:
        verb, _, argument = line.strip().partition(" ")
        try:
            print("ok", getattr(client, verb)(argument).hex(), flush=True)
        except Failure as e:
            print("err", e, flush=True)
        except TypeError:  # the binding was handed None: there is no card handle
            print("err not connected to a card", flush=True)


main()
