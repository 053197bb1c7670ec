package card

// Bank is one connection to the bank that holds the real card. It is made by
// the RSPRO client and handed to a BankHandler; it is gone for good after
// BankDown, and the next connection is another Bank.
type Bank interface {
	// Send sends one command TPDU (MinTPDU to MaxTPDU bytes) in one write.
	// tpdu is not kept. Answers come in the order of the commands: RSPRO has
	// no other way to tell which command an answer belongs to.
	Send(tpdu []byte) error
	// Lines tells the bank what the modem did with the card. A bank resets
	// the card cold on a falling edge of Powered and warm on a rising edge of
	// Reset, without an answer and without a new ATR.
	Lines(l Lines) error
	// Drop closes the connection in order (FIN), which makes the bank power
	// the card down. The client connects anew with back-off. BankDown follows
	// with this reason.
	Drop(reason error)
}

// BankHandler is told what the bank says. Calls for one Bank come from one
// goroutine, in order; none may block.
type BankHandler interface {
	// BankUp: the bank accepted the client and has opened the card. It is
	// powered, nothing is selected. ATR follows.
	BankUp(b Bank)
	// ATR: the card's answer to reset. It may come again.
	ATR(b Bank, atr []byte)
	// Response answers the oldest command that was sent on b and not yet
	// answered. response is valid only during the call.
	Response(b Bank, response []byte)
	// BankDown: the connection is gone; commands without an answer may or may
	// not have reached the card.
	BankDown(b Bank, err error)
}
