package api

import (
	"context"
	"iter"
	"time"
)

// Tokens are the secrets by which programs on other machines use this API. Only their hashes are kept.
type Tokens interface {
	CreateToken(ctx context.Context, r TokenRequest) (NewToken, error)
	Tokens(ctx context.Context) ([]Token, error)
	// RevokeToken ends one, by id, the beginning of it, or name.
	RevokeToken(ctx context.Context, ref string) (Token, error)
}

// TokenRequest makes a token.
type TokenRequest struct {
	Name          string `json:"name,omitempty" maxLength:"64" doc:"What it is for"`
	Scope         string `json:"scope,omitempty" enum:"read,write,admin" doc:"Default: read"`
	ExpireSeconds int64  `json:"expire_seconds,omitempty" minimum:"0" maximum:"315360000" doc:"0: 30 days"`
}

// Token is one token, without its secret.
type Token struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Scope    string     `json:"scope" enum:"read,write,admin"`
	Created  time.Time  `json:"created"`
	Expires  time.Time  `json:"expires"`
	LastUsed *time.Time `json:"last_used,omitempty"`
	LastFrom string     `json:"last_from,omitempty" doc:"Address that it was last used from"`
	State    string     `json:"state" enum:"active,expired,revoked"`
}

// NewToken is told once.
type NewToken struct {
	Secret string `json:"secret" doc:"Send it as Authorization: Bearer"`
	Token
}

// AuditRecord is one line of the audit log: who did what to whom, and whether it was allowed. It holds no secret.
type AuditRecord struct {
	ID      uint64    `json:"id"`
	Time    time.Time `json:"time"`
	Actor   string    `json:"actor" doc:"local, session, token NAME, a peer id, or the peer itself"`
	From    string    `json:"from,omitempty" doc:"Address"`
	Action  string    `json:"action" doc:"Such as invite.create, member.revoke, token.create, key.rotate, login, door.denied"`
	Subject string    `json:"subject,omitempty" doc:"What it was done to"`
	Outcome string    `json:"outcome" enum:"done,denied,failed"`
	Detail  string    `json:"detail,omitempty"`
}

// Audit is the log of administration, membership and denials.
type Audit interface {
	// Audit yields records, newest first, from before the record with this id; 0: from the newest.
	Audit(ctx context.Context, before uint64) iter.Seq2[AuditRecord, error]
}

// AuditPage is a page of the audit log, newest first. Next is what to ask for as before; 0: this was the last.
type AuditPage struct {
	Records []AuditRecord `json:"records"`
	Next    uint64        `json:"next,omitempty"`
}

// CertificateAuthority is what a browser needs to trust this network's dashboards.
type CertificateAuthority struct {
	PEM         string    `json:"pem"`
	Fingerprint string    `json:"fingerprint" doc:"SHA-256, in hex"`
	Name        string    `json:"name"`
	Expires     time.Time `json:"expires"`
	Permitted   []string  `json:"permitted" doc:"Names and addresses that it can vouch for, and no others"`
}

// Certificates is what the API needs of a peer's certificate authority.
type Certificates interface {
	// CA is the authority behind the dashboard's certificate; CodeNotFound when that is the user's or a public one.
	CA(ctx context.Context) (CertificateAuthority, error)
}

// Setting is one configuration key as it holds now.
type Setting struct {
	Key     string   `json:"key"`
	Kind    string   `json:"kind" enum:"text,list,switch,number,size" doc:"A list has commas between its items; a switch is true or false; a size is bytes, such as 2GiB"`
	Value   string   `json:"value" doc:"That holds now; empty: the default, as help says"`
	Default string   `json:"default"`
	Origin  string   `json:"origin" enum:"default,file,environment,flag"`
	Where   string   `json:"where,omitempty" doc:"File and line, variable or flag; told on the socket only"`
	Help    string   `json:"help"`
	Choices []string `json:"choices,omitempty" doc:"The only values there are"`
	Reload  bool     `json:"reload" doc:"A change holds without a restart"`
	Remote  bool     `json:"remote" doc:"May be changed over TCP; the others on the socket only"`
	Path    bool     `json:"path,omitempty" doc:"Holds a path of this machine, of which the last part alone is told over TCP"`
	Pending string   `json:"pending,omitempty" doc:"Value that the configuration has by now and that does not hold yet, or the word default; it does after a reload if there is one for the key, else after a restart"`
}

// SettingRequest sets one key.
type SettingRequest struct {
	Value string `json:"value" minLength:"1" maxLength:"8192" doc:"As in Setting"`
}

// Settings is what the API needs of a peer's configuration. A key that is not there is CodeNotFound, a value that can not
// be used CodeUsage; then nothing has changed.
type Settings interface {
	Settings(ctx context.Context) ([]Setting, error)
	// SetSetting writes one key into config.toml, keeping the rest of the file as it is; an empty value takes the key out.
	SetSetting(ctx context.Context, key, value string) (Setting, error)
	// Reload reads the configuration again and applies what can be applied.
	Reload(ctx context.Context) ([]Setting, error)
}

// KeyStatus says how the keys of this peer are protected.
type KeyStatus struct {
	Passphrase bool      `json:"passphrase" doc:"The keys are encrypted under a passphrase"`
	KDF        string    `json:"kdf" doc:"none, or argon2id with its parameters"`
	DataKeys   int       `json:"data_keys" doc:"Keys under which something in the store may be sealed"`
	Changed    time.Time `json:"changed"`
}

// Keys is what the API needs of a peer's keys. All of it is on the socket only.
type Keys interface {
	KeyStatus(ctx context.Context) (KeyStatus, error)
	// SetPassphrase puts the keys under another passphrase; empty: none.
	SetPassphrase(ctx context.Context, r PassphraseRequest) (KeyStatus, error)
	// RotateKeys makes new keys for wrapping and sealing. With Reseal everything in the store is sealed anew and the old keys are forgotten.
	RotateKeys(ctx context.Context, r RotateRequest, s Sink) (RotateResult, error)
	// BackupKeys writes an encrypted copy of all keys to a new file.
	BackupKeys(ctx context.Context, r BackupRequest) (BackupResult, error)
}

// PassphraseRequest changes the passphrase.
type PassphraseRequest struct {
	Old string `json:"old,omitempty" maxLength:"1024"`
	New string `json:"new,omitempty" maxLength:"1024"`
}

// RotateRequest rotates keys.
type RotateRequest struct {
	Reseal     bool   `json:"reseal,omitempty"`
	Passphrase string `json:"passphrase,omitempty" maxLength:"1024" doc:"The present one, if there is one"`
}

// RotateResult ends a rotation.
type RotateResult struct {
	Keys     KeyStatus `json:"keys"`
	Resealed int64     `json:"resealed" doc:"Values sealed anew"`
	Bytes    int64     `json:"bytes"`
	Millis   int64     `json:"ms"`
}

// BackupRequest names the file and what protects it.
type BackupRequest struct {
	Path       string   `json:"path" minLength:"1" maxLength:"4096" doc:"Absolute; must not be there"`
	Passphrase string   `json:"passphrase,omitempty" maxLength:"1024"`
	Recipients []string `json:"recipients,omitempty" maxItems:"16" doc:"age recipients (age1...) in the place of a passphrase"`
}

// BackupResult says what is in the backup.
type BackupResult struct {
	Path string   `json:"path"`
	Keys []string `json:"keys" doc:"Names of the keys in it"`
}
