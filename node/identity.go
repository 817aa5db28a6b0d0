package node

import (
	"crypto/rand"
	"fmt"
	"sync"

	"cairn/storage/vault"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// identity is the key by which a network knows this peer. It is there before the peer joins one, and is replaced when it
// leaves: an id that has left never returns. Safe for concurrent use.
type identity struct {
	vault *vault.Vault

	mu sync.Mutex
	k  crypto.PrivKey
	p  peer.ID
}

func newIdentity(v *vault.Vault) (*identity, error) {
	i := &identity{vault: v}
	k, err := privateKey(v, secretIdentity)
	if err != nil {
		return nil, err
	}
	return i, i.use(k)
}

func (i *identity) use(k crypto.PrivKey) error {
	p, err := peer.IDFromPrivateKey(k)
	if err != nil {
		return fmt.Errorf("read identity: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.k, i.p = k, p
	return nil
}

func (i *identity) key() crypto.PrivKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.k
}

func (i *identity) id() peer.ID {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.p
}

// renew puts a fresh key in the place of the present one, synced.
func (i *identity) renew() error {
	k, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return fmt.Errorf("make identity: %w", err)
	}
	raw, err := crypto.MarshalPrivateKey(k)
	if err != nil {
		return fmt.Errorf("make identity: %w", err)
	}
	defer clear(raw)
	if err := i.vault.Put(secretIdentity, raw); err != nil {
		return err
	}
	return i.use(k)
}
