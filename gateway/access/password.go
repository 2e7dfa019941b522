package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// cost is what a guess at a password costs.
type cost struct{ memory, passes uint32 } // in KiB

// usualCost is 19 MiB and two passes, with one thread. Source: OWASP Password Storage Cheat Sheet, Argon2id.
var usualCost = cost{19 << 10, 2}

const (
	saltBytes    = 16
	keyBytes     = 32
	hashesAtOnce = 2 // 38 MiB
	hashWait     = 10 * time.Second
)

// Bounds of a password, in characters and bytes.
const (
	shortest     = 8
	longest      = 128
	longestBytes = 4 * longest
)

// stranger is checked where there is no such user, so that this takes as long as a wrong password.
func (c cost) stranger() string { return c.write(make([]byte, saltBytes), make([]byte, keyBytes)) }

// write is a hash in the form of the reference implementation: $argon2id$v=19$m=19456,t=2,p=1$SALT$KEY.
func (c cost) write(salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, c.memory, c.passes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// checkPassword refuses a new password that is too easy, or too long to be hashed.
func checkPassword(id, password string) error {
	n := utf8.RuneCountInString(password)
	switch {
	case n < shortest || n > longest || len(password) > longestBytes:
		return refuse(ErrInput, "a password has %d to %d characters", shortest, longest)
	case strings.EqualFold(password, id):
		return refuse(ErrInput, "the password must not be the name")
	}
	return nil
}

// hash is what is kept of a password.
func (a *Access) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	key, err := a.derive(ctx, password, salt, a.cost)
	if err != nil {
		return "", err
	}
	return a.cost.write(salt, key), nil
}

// verify tells whether a password is the one of a hash.
func (a *Access) verify(ctx context.Context, hash, password string) (bool, error) {
	c, salt, want, err := read(hash)
	if err != nil {
		return false, err
	}
	got, err := a.derive(ctx, password, salt, c)
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}

var errUnreadable = errors.New("access: a stored password is not readable")

// read takes a hash apart.
func read(hash string) (c cost, salt, key []byte, err error) {
	var version int
	var rest string
	_, err = fmt.Sscanf(hash, "$argon2id$v=%d$m=%d,t=%d,p=1$%s", &version, &c.memory, &c.passes, &rest)
	if err != nil || version != argon2.Version || c.passes < 1 || c.passes > 64 || c.memory > 1<<17 {
		return c, nil, nil, errUnreadable
	}
	salt64, key64, _ := strings.Cut(rest, "$")
	salt, err = base64.RawStdEncoding.DecodeString(salt64)
	key, err2 := base64.RawStdEncoding.DecodeString(key64)
	if err != nil || err2 != nil || len(key) != keyBytes {
		return c, nil, nil, errUnreadable
	}
	return c, salt, key, nil
}

// derive hashes a password once it is its turn.
func (a *Access) derive(ctx context.Context, password string, salt []byte, c cost) ([]byte, error) {
	wait := time.NewTimer(hashWait)
	defer wait.Stop()
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-wait.C:
		return nil, refuse(ErrBusy, "too many people log in at this moment; try again")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return argon2.IDKey([]byte(password), salt, c.passes, c.memory, 1, keyBytes), nil
}
