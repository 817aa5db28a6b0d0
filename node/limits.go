package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"cairn/swarm/shape"
	"cairn/web/api"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	limitsVersion = 1       // of limits.json
	maxLimitsFile = 1 << 20 // bytes; 256 peers and 64 rules by hour take a tenth of it
)

// limitsFile is limits.json: what the user has set, as the API has it.
type limitsFile struct {
	Version int             `json:"version"`
	Up      int64           `json:"up"`
	Down    int64           `json:"down"`
	Peers   []api.PeerLimit `json:"peers"`
	Hours   []api.HourLimit `json:"hours"`
}

// limits keeps the user's limits of bandwidth in the home and makes them hold. A file that can not be read is left
// as it is: nothing is limited then, problem says so, and set refuses until somebody has looked at the file.
type limits struct {
	path  string
	shape *shape.Shaper
	log   *slog.Logger

	mu      sync.Mutex
	user    api.Limits // as set, without what is read-only
	problem string     // why the file is of no use; empty: it is, or there is none
}

// newLimits makes the limits of a home hold.
func newLimits(dir string, s *shape.Shaper, log *slog.Logger) *limits {
	l := &limits{path: filepath.Join(dir, "limits.json"), shape: s, log: log}
	l.load()
	return l
}

// load reads the file and makes it hold; l.mu is held or l not shared yet.
func (l *limits) load() {
	kept, rules, err := readLimits(l.path)
	if err != nil {
		// Without the whole path, which a browser is not told.
		problem := fmt.Sprintf("%s in the data directory: %s; bandwidth is not limited", filepath.Base(l.path), explain(err).Message)
		if problem != l.problem {
			l.log.Warn("the limits that were kept do not hold", "path", l.path, "err", problem)
		}
		l.problem = problem
		return
	}
	l.user, l.problem = kept, ""
	l.shape.Set(rules)
}

// readLimits reads a file of limits; no file: no limits.
func readLimits(path string) (api.Limits, shape.Rules, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return api.Limits{}, shape.Rules{}, nil
	}
	if err == nil && !fi.Mode().IsRegular() && !fi.IsDir() {
		return api.Limits{}, shape.Rules{}, api.Errorf(api.CodeFailed, "it is not a regular file") // opening a pipe would wait for its writer
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if err != nil {
		return api.Limits{}, shape.Rules{}, api.Errorf(api.CodeNotPermitted, "%s", reason(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLimitsFile))
	if err != nil {
		return api.Limits{}, shape.Rules{}, api.Errorf(api.CodeFailed, "%s", reason(err))
	}
	return parseLimits(data)
}

func parseLimits(data []byte) (api.Limits, shape.Rules, error) {
	var v struct {
		Version int `json:"version"`
	}
	if err := api.CheckJSON(data); err != nil || json.Unmarshal(data, &v) != nil {
		return api.Limits{}, shape.Rules{}, api.Errorf(api.CodeFailed, "the file is damaged")
	}
	if v.Version > limitsVersion {
		return api.Limits{}, shape.Rules{}, api.Errorf(api.CodeFailed, "the file was written by a newer version of cairn")
	}
	var f limitsFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil || f.Version != limitsVersion {
		return api.Limits{}, shape.Rules{}, api.Errorf(api.CodeFailed, "the file is damaged")
	}
	return rulesOf(api.Limits{Up: f.Up, Down: f.Down, Peers: f.Peers, Hours: f.Hours})
}

// rulesOf checks limits and puts them into the form that holds. The limits come back with peer ids as we write them
// and without what is read-only. Its error is an *api.Error of CodeUsage.
func rulesOf(l api.Limits) (api.Limits, shape.Rules, error) {
	bad := func(err error) (api.Limits, shape.Rules, error) {
		return api.Limits{}, shape.Rules{}, api.Errorf(api.CodeUsage, "%v", err)
	}
	out := api.Limits{Up: l.Up, Down: l.Down}
	r := shape.Rules{Pair: shape.Pair{Up: l.Up, Down: l.Down}, Peers: map[peer.ID]shape.Pair{}}
	for _, p := range l.Peers {
		id, err := peer.Decode(p.PeerID)
		if err != nil {
			return api.Limits{}, shape.Rules{}, api.Errorf(api.CodeUsage, "%.80q is not the id of a peer", p.PeerID).
				WithHint("`cairn peers --json` has the ids of connected peers in full")
		}
		if _, twice := r.Peers[id]; twice {
			return bad(fmt.Errorf("peer %s is limited twice", id))
		}
		r.Peers[id] = shape.Pair{Up: p.Up, Down: p.Down}
		out.Peers = append(out.Peers, api.PeerLimit{PeerID: id.String(), Up: p.Up, Down: p.Down})
	}
	for _, h := range l.Hours {
		rule, err := shape.ParseHours(h.Days, h.From, h.To)
		if err != nil {
			return bad(err)
		}
		rule.Pair = shape.Pair{Up: h.Up, Down: h.Down}
		r.Hours = append(r.Hours, rule)
		h.Days = rule.Days.Names()
		out.Hours = append(out.Hours, h)
	}
	if err := r.Check(); err != nil {
		return bad(err)
	}
	return out, r, nil
}

// get is what is set and what holds of it at now.
func (l *limits) get(now time.Time) api.Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.problem != "" {
		l.load() // somebody may have looked at the file
	}
	return l.show(now)
}

func (l *limits) show(now time.Time) api.Limits {
	out := l.user
	out.Problem = l.problem
	e := l.shape.Effective(now)
	out.Effective = api.EffectiveLimits{Up: e.Up, Down: e.Down, Reason: e.Reason}
	if l.problem != "" {
		out.Effective.Reason = "what was set can not be read"
	}
	return out
}

// set keeps the limits, synced, and makes them hold at once.
func (l *limits) set(want api.Limits, now time.Time) (api.Limits, error) {
	user, rules, err := rulesOf(want)
	if err != nil {
		return api.Limits{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.problem != "" {
		if l.load(); l.problem != "" {
			return api.Limits{}, api.Errorf(api.CodeConflict, "%s", l.problem).
				WithHint("correct the file or move it away; it is not overwritten, for it may hold what you set before")
		}
	}
	data, err := json.MarshalIndent(limitsFile{Version: limitsVersion, Up: user.Up, Down: user.Down,
		Peers: append([]api.PeerLimit{}, user.Peers...), Hours: append([]api.HourLimit{}, user.Hours...)}, "", "  ")
	if err != nil {
		return api.Limits{}, fmt.Errorf("encode limits: %w", err)
	}
	if err := writeSecret(l.path, append(data, '\n')); err != nil {
		return api.Limits{}, err
	}
	l.user = user
	l.shape.Set(rules)
	return l.show(now), nil
}

// Limits are the limits of bandwidth and what holds of them now.
func (n *Node) Limits(context.Context) (api.Limits, error) { return n.limits.get(n.now()), nil }

// SetLimits replaces all of them.
func (n *Node) SetLimits(_ context.Context, l api.Limits) (api.Limits, error) {
	out, err := n.limits.set(l, n.now())
	if err != nil {
		return out, explained(err)
	}
	n.hub.send(api.Event{Type: "limits", Limits: &out})
	return out, nil
}

// tickLimits tells when a rule by hour began or ended.
func (n *Node) tickLimits(now time.Time) {
	if n.shape.Tick(now) {
		l := n.limits.get(now)
		n.hub.send(api.Event{Type: "limits", Limits: &l})
	}
}
