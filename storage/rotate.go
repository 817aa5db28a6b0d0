package storage

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Rotation of data keys: a new one seals from now on; the old ones open what they sealed until a reseal (reseal.go) has
// replaced all of that, and are forgotten then.

// Count is how many data keys something in the store may be sealed under.
func (k *Keys) Count() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.file.Data)
}

// Unmake makes the keys those of a store that is still to be made: for a home whose store is lost.
func (k *Keys) Unmake() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.file
	f.Made, f.Reseal = false, 0
	return k.save(f)
}

// SameKeys tells whether two texts as an Envelope keeps them are the keys of one store, neither lacking a data key that the
// other has.
func SameKeys(a, b []byte) (bool, error) {
	var fs [2]keyFile
	for i, text := range [][]byte{a, b} {
		var err error
		if fs[i], err = decodeKeyFile(text); err != nil {
			return false, fmt.Errorf("compare keys: %w", err)
		}
		fs[i].Made, fs[i].Reseal, fs[i].Sum = false, 0, nil
	}
	x, err := json.Marshal(fs[0])
	if err != nil {
		return false, fmt.Errorf("compare keys: %w", err)
	}
	y, err := json.Marshal(fs[1])
	return err == nil && slices.Equal(x, y), err
}

// renew makes a new data key current. With reseal it is recorded, in the same write, that the older ones are to be forgotten.
func (k *Keys) renew(reseal bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.addKey(reseal)
}

// target is the data key below which keys are to be forgotten; 0: none are.
func (k *Keys) target() uint32 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.file.Reseal
}

// forget takes the data keys below id out of the envelope. This process still opens what they sealed: a read may have
// fetched it before it was replaced.
func (k *Keys) forget(id uint32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.file
	f.Data = nil
	for _, r := range k.file.Data {
		if r.ID >= id {
			f.Data = append(f.Data, r)
		}
	}
	if len(f.Data) == 0 {
		return fmt.Errorf("forget data keys below %d: none would be left", id)
	}
	if f.Reseal == id { // else another rotation has asked for more meanwhile
		f.Reseal = 0
	}
	return k.save(f)
}
