package vpcd

import "time"

// SetRemovalTime shortens the time that the reader stays empty, for a fake pcscd
// that looks more often than the real one.
func (f *Front) SetRemovalTime(d time.Duration) { f.removal = d }
