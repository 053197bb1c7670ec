package luciweb

// HashKey is for tests against what LuCI's own cbi.js computes.
func HashKey(key string) string { return hashKey(key) }

// ParsePO and ParseTable are for fuzzing.
func ParsePO(data []byte) (int, error) {
	m, err := parsePO(data)
	return len(m), err
}

// ParseTable reads arguments and says how they go out again.
func ParseTable(data []byte) ([]byte, error) {
	t, err := parseTable(data)
	if err != nil {
		return nil, err
	}
	return t.JSON(), nil
}
