package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Only the server knows where such a bank is, and the card's traffic goes there.
func TestClearTextToABankThatTheServerNamesIsAFinding(t *testing.T) {
	w := newWorld(t)
	w.write(w.config("config bank\n\toption bank_id '1'\n\toption tls '0'\n\toption allow_insecure '1'\n"))
	w.start()
	require.Equal(t, "card traffic travels in clear text: bank 1, wherever the server says", w.untilFinding("rspro-clear-text").Text)
}
