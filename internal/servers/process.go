//go:build unix

package servers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// process is a program that a test has started. Signals go to the very process
// that was started: nothing here ends a program by name.
type process struct {
	*os.Process
	log  string
	gone chan struct{} // closed when the process has ended
}

// start runs a program in a directory until the end of the test.
func start(tb testing.TB, dir, path string, args ...string) (*process, error) {
	tb.Helper()
	p := &process{log: filepath.Join(dir, "log"), gone: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = dieWithTest()
	started := make(chan error)
	go func() {
		// The parent that the kernel watches is the thread that forked, so
		// this one has to live as long as the process.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		_ = log.Close()
		close(p.gone)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.Process = cmd.Process
	tb.Cleanup(p.kill)
	return p, nil
}

// kill ends the process at once, as a crash would, and waits until it is gone.
func (p *process) kill() {
	_ = p.Signal(syscall.SIGKILL) // it may have ended by itself
	<-p.gone
}

// ended says whether the process has ended, and how it took leave.
func (p *process) ended() error {
	select {
	case <-p.gone:
		return fmt.Errorf("the process has ended:\n%s", p.lastWords())
	default:
		return nil
	}
}

// lastWords returns the end of what the process has printed.
func (p *process) lastWords() []byte {
	const enough = 2000
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-enough):]
}
