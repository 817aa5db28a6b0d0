package main

import "cairn/web/api"

// exitCode is the one table from the kind of a failure to the exit code of the process.
func exitCode(c api.Code) int {
	switch c {
	case api.CodeUsage:
		return 2
	case api.CodeNotFound:
		return 3
	case api.CodeNotPermitted:
		return 4
	case api.CodeIntegrity:
		return 5
	case api.CodeUnavailable, api.CodeTooMany, api.CodeHandover:
		return 6
	case api.CodeNoSpace:
		return 7
	case api.CodeNoHome:
		return 10
	case api.CodeLocked:
		return 11
	case api.CodeWrongKey:
		return 12
	default: // failed, cancelled, conflict, and codes of a newer peer
		return 1
	}
}
