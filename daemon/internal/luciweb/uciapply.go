package luciweb

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/ubus"
)

// applyTime is how long an apply waits for its confirmation when it does not say:
// rpcd's RPC_APPLY_TIMEOUT.
const applyTime = 60 * time.Second

// revert drops what a session has set in a file.
func (u *uciStore) revert(_ context.Context, q *query) (any, ubus.Status) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pending != nil {
		return nil, ubus.StatusPermissionDenied
	}
	if _, status := u.open(q, "write"); status != ubus.StatusOK {
		return nil, status
	}
	delete(u.delta(q.sid), q.text("config"))
	return nil, ubus.StatusOK
}

// commit writes what a session has set in a file.
func (u *uciStore) commit(ctx context.Context, q *query) (any, ubus.Status) {
	u.mu.Lock()
	if u.pending != nil {
		u.mu.Unlock()
		return nil, ubus.StatusPermissionDenied
	}
	p, status := u.open(q, "write")
	name := q.text("config")
	if status == ubus.StatusOK {
		status = statusOf(u.save(name, p))
	}
	if status == ubus.StatusOK {
		delete(u.delta(q.sid), name)
	}
	u.mu.Unlock()
	if status == ubus.StatusOK {
		u.changed(ctx, name)
	}
	return nil, status
}

// apply writes everything that a session has set. With rollback it comes back
// unless the same session confirms in time.
func (u *uciStore) apply(ctx context.Context, q *query) (any, ubus.Status) {
	rollback, err1 := q.args.Bool("rollback", false)
	seconds, err2 := q.args.Int("timeout", int64(applyTime/time.Second))
	if err1 != nil || err2 != nil || q.sid == "" {
		return nil, ubus.StatusInvalidArgument
	}
	names, status := u.write(q, rollback, time.Duration(seconds)*time.Second)
	for _, name := range names {
		u.changed(ctx, name)
	}
	return nil, status
}

// write does the part of apply that needs the lock, and names the files.
func (u *uciStore) write(q *query, rollback bool, wait time.Duration) ([]string, ubus.Status) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pending != nil {
		if rollback {
			return nil, ubus.StatusPermissionDenied
		}
		return nil, ubus.StatusOK // rpcd does nothing and says so to nobody
	}
	var names []string
	all := u.delta(q.sid)
	for name, delta := range all {
		if len(delta) == 0 {
			continue
		}
		if !u.may(q, "write", name) {
			return nil, ubus.StatusPermissionDenied
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, ubus.StatusNoData
	}
	before := &pending{sid: q.sid, files: make(map[string][]byte), deltas: maps.Clone(all)}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(u.dir, name))
		if err != nil {
			return nil, ubus.StatusUnknownError
		}
		before.files[name] = text
		p, err := u.load(name, before.deltas[name])
		if err == nil {
			err = u.save(name, p)
		}
		if err != nil {
			return nil, statusOf(err)
		}
	}
	clear(all)
	if rollback {
		before.timer = time.AfterFunc(wait, func() { u.restore(context.Background(), before) })
		u.pending = before
	}
	return names, ubus.StatusOK
}

// restore puts back what was there before an apply, and into the session what it
// had set, if that still lives.
func (u *uciStore) restore(ctx context.Context, p *pending) {
	u.mu.Lock()
	if u.pending != p { // confirmed at the last moment
		u.mu.Unlock()
		return
	}
	u.pending = nil
	p.timer.Stop()
	maps.Copy(u.delta(p.sid), p.deltas)
	for name, text := range p.files {
		_ = os.WriteFile(filepath.Join(u.dir, name), text, 0o644) // as rpcd: what cannot be restored is not
	}
	u.mu.Unlock()
	for name := range p.files {
		u.changed(ctx, name)
	}
}

// waiting returns the apply that a session may end.
func (u *uciStore) waiting(q *query) (*pending, ubus.Status) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.pending == nil:
		return nil, ubus.StatusNoData
	case q.sid == "":
		return nil, ubus.StatusInvalidArgument
	case q.sid != u.pending.sid:
		return nil, ubus.StatusPermissionDenied
	}
	return u.pending, ubus.StatusOK
}

func (u *uciStore) confirm(_ context.Context, q *query) (any, ubus.Status) {
	p, status := u.waiting(q)
	if p == nil {
		return nil, status
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pending != p {
		return nil, ubus.StatusNoData
	}
	p.timer.Stop()
	u.pending = nil
	return nil, ubus.StatusOK
}

func (u *uciStore) rollback(ctx context.Context, q *query) (any, ubus.Status) {
	p, status := u.waiting(q)
	if p != nil {
		u.restore(ctx, p)
	}
	return nil, status
}
