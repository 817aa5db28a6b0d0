// Package recovery keeps the root key of a network outside of any peer: as 24 words on paper, or as an encrypted file.
//
// It promises that words and files read back to the same key or to an error that says what is wrong: which word, or
// the order, or the passphrase, or the file. It is pure: it reads and writes no files, logs nothing, and starts no goroutines.
// It does not know what a charter is, and cannot tell whether a key is the root of a certain network; the caller compares.
//
// Words are BIP 39 (English, 256 bits), which people and other tools know; the words are the key itself, not under a
// passphrase. The seed is used as an Ed25519 seed as it is, without BIP 39's own derivation. Files are age with a passphrase.
package recovery
