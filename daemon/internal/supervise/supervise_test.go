package supervise_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/terminills/remsim-openwrt/daemon/internal/supervise"
)

func TestFailedTaskIsStartedAgainWithGrowingDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failures []supervise.Failure
		runs := 0
		g := supervise.New(func(f supervise.Failure) { failures = append(failures, f) }, nil)
		g.Start(supervise.Task{Name: "broken", Run: func(context.Context) error {
			runs++
			switch runs {
			case 1:
				return errors.New("no device")
			case 2:
				panic("index out of range")
			}
			return nil
		}})
		time.Sleep(5 * time.Minute)
		g.Stop()

		require.GreaterOrEqual(t, runs, 9, "at least one attempt in each 30 s")
		require.LessOrEqual(t, runs, 30, "not more than one attempt in 10 s in the long run")
		require.ErrorContains(t, failures[0].Err, "no device")
		require.ErrorContains(t, failures[1].Err, "index out of range")
		require.ErrorContains(t, failures[2].Err, "ended without being asked to")
		require.LessOrEqual(t, failures[0].Next, time.Second)
		for _, f := range failures {
			require.LessOrEqual(t, f.Next, 30*time.Second)
		}
	})
}

func TestTaskThatRanSteadilyStartsOverAtTheFirstDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := make(chan supervise.Failure, 100)
		runs := 0
		g := supervise.New(func(f supervise.Failure) { failures <- f }, nil)
		g.Start(supervise.Task{Name: "usb", Run: func(ctx context.Context) error {
			if runs++; runs == 6 {
				time.Sleep(2 * time.Minute) // one long, healthy run
			}
			return errors.New("unplugged")
		}})
		for range 5 {
			<-failures
		}
		require.LessOrEqual(t, (<-failures).Next, time.Second)
		g.Stop()
	})
}

func TestStopEndsTheLastStartedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		g := supervise.New(nil, nil)
		for _, name := range []string{"bus", "bank", "front"} {
			g.Start(supervise.Task{Name: name, Run: func(ctx context.Context) error {
				<-ctx.Done()
				order = append(order, name)
				return nil
			}})
		}
		synctest.Wait()
		g.Stop()
		require.Equal(t, []string{"front", "bank", "bus"}, order)
	})
}

func TestRecoveryIsToldAfterASteadyMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recovered := make(chan string, 10)
		runs := 0
		g := supervise.New(nil, func(task string) { recovered <- task })
		g.Start(supervise.Task{Name: "bus", Run: func(ctx context.Context) error {
			if runs++; runs < 3 {
				return errors.New("no socket")
			}
			<-ctx.Done()
			return nil
		}})
		require.Equal(t, "bus", <-recovered)
		g.Stop()
		require.Empty(t, recovered, "told once")
	})
}
