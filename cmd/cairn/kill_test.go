//go:build unix

package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// random writes a file in which no two leaves are the same.
func (p place) random(t *testing.T, name string, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	if err := os.WriteFile(filepath.Join(p.dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// under waits until a get has fetched something, and not all of it.
func (k *process) under(total int) {
	k.t.Helper()
	for {
		v := k.event("progress")
		if done, _ := v["done"].(float64); done > 0 {
			if int(done) == total {
				k.t.Skip("this machine is too fast to interrupt a get")
			}
			return
		}
	}
}

const killSize = 128 << 20

// killed returns a place with a share, and a get of it that runs in an up of another home.
func killed(t *testing.T) (p place, content []byte, up, get *process) {
	t.Helper()
	p = newPlace(t)
	content = p.random(t, "a.bin", killSize)
	sharing := p.begin(t, "share", "--json", "a.bin")
	ticket, _ := sharing.event("shared")["ticket"].(string)
	t.Cleanup(func() { sharing.end(os.Interrupt) })
	if err := os.WriteFile(filepath.Join(p.dir, "ticket"), []byte(ticket), 0o600); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(p.dir, "other")
	up = p.begin(t, "--home", home, "up", "--json", "--http", "off")
	up.event("ready")
	get = p.begin(t, "--home", home, "get", "--json", "@ticket", "-o", "b.bin")
	get.under(killSize)
	return p, content, up, get
}

// The peer of a get is killed: the get becomes the peer and goes on, and nothing of it is left for the next one.
func TestGetSurvivesItsPeer(t *testing.T) {
	p, content, up, get := killed(t)
	up.end(os.Kill)
	if v := get.event("result"); v["resumed"] == 0.0 {
		t.Errorf("it began anew: %v", v)
	}
	if c := get.wait(); c != 0 {
		t.Fatalf("get ended with %d: %s", c, get.err)
	}
	p.want(t, "b.bin", content)
	if err := os.Remove(filepath.Join(p.dir, "b.bin")); err != nil {
		t.Fatal(err)
	}
	up = p.begin(t, "--home", filepath.Join(p.dir, "other"), "up", "--json", "--http", "off")
	up.event("ready")
	if r := p.at(t, "other", "status", "--json"); r.code != 0 {
		t.Errorf("status: %+v", r)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "b.bin")); err == nil {
		t.Error("a get that had ended was done again")
	}
	up.end(os.Interrupt)
}

// The peer and the command are killed, as by a power cut: the next peer finishes what they began.
func TestGetSurvivesAll(t *testing.T) {
	p, content, up, get := killed(t)
	up.end(os.Kill)
	get.end(os.Kill)
	up = p.begin(t, "--home", filepath.Join(p.dir, "other"), "up", "--json", "--http", "off")
	up.event("ready")
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) { // the disk is all that tells of it
		if info, err := os.Stat(filepath.Join(p.dir, "b.bin")); err == nil && info.Size() == killSize {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("the get was not resumed: %s", up.err)
		}
	}
	if c := up.end(os.Interrupt); c != 0 {
		t.Errorf("up ended with %d: %s", c, up.err)
	}
	p.want(t, "b.bin", content)
}
