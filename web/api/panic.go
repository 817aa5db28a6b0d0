package api

import (
	"fmt"
	"runtime/debug"
)

// panicError is a recovered panic as an error. Its text goes to the log only.
func panicError(p any) error {
	return fmt.Errorf("panic: %v\n%s", p, debug.Stack())
}
