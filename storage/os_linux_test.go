package storage

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// asNobody runs f with the file rights of nobody if the test runs as root, who may read everything.
func asNobody(t *testing.T, home string, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // rights for files belong to the thread
	defer runtime.UnlockOSThread()
	unix.SetfsuidRetUid(65534)
	defer unix.SetfsuidRetUid(0)
	f()
}

// TestUnreadableReference takes the right to read away, before the first read and while the file is open.
func TestUnreadableReference(t *testing.T) {
	for _, warm := range []bool{false, true} {
		f := newFixture(t)
		path := f.write("a", make([]byte, 3000))
		f.must(os.Chmod(path, 0o644))
		w := f.NewWriter(t.Context(), WriterOptions{})
		c := f.reference(w, path, 1000)[0]
		f.must(w.Commit(t.Context()))
		f.must(w.Close())
		asNobody(t, f.home, func() {
			if warm {
				if _, err := f.Get(t.Context(), c, nil); err != nil {
					t.Fatal(err)
				}
			}
		})
		f.must(os.Chmod(path, 0))
		asNobody(t, f.home, func() {
			_, err := f.Get(t.Context(), c, nil)
			wantFileError(t, err, path, Unreadable)
		})
	}
}
