package admission

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"cairn/consensus/membership"
)

// BenchmarkJoin measures from the invite in hand to an admitted connection with the member that let the peer in.
func BenchmarkJoin(b *testing.B) {
	r := newRealm(b)
	a := r.first.start()
	i := a.invite(membership.InviteTerms{Uses: 1000}, a)
	var all []time.Duration
	for n := 0; b.Loop(); n++ {
		key := newKey(b)
		began := time.Now()
		m, err := r.join(b.Context(), i, fmt.Sprint("m", n), key)
		if err != nil {
			b.Fatal(err)
		}
		m.start()
		eventually(b, "connected", 10*time.Second, func() bool { return m.connected(a) && a.connected(m) })
		all = append(all, time.Since(began))
		m.stop()
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)*95/100].Milliseconds()), "ms-p95")
}
