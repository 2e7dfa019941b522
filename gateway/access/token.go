package access

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"embergate/gateway/store"
)

// tokenPrefix makes a token recognisable where it should not be.
const tokenPrefix = "eg_"

// ShellFile is the file in the data directory with the token of those who may read it: the user of the daemon, and root.
const ShellFile = "cli.token"

// AddToken makes a token for a program; it is told once and kept as a hash.
func (a *Access) AddToken(ctx context.Context, now time.Time, name string, role Role, by Identity, o Origin) (token string, err error) {
	name = strings.TrimSpace(name)
	switch {
	case !isID(name):
		return "", refuse(ErrInput, "%q is no name of a token: 1 to %d letters, digits, . _ or -", name, longestName)
	case !slices.Contains(Roles, role):
		return "", refuse(ErrInput, "the role %q is none of viewer, duty, maintainer, admin", string(role))
	}
	token, hash := secret(tokenPrefix)
	t := store.Token{Name: name, Role: string(role), Hash: hash, By: by.Name, Created: now}
	if err := a.store.AddToken(ctx, t, event(now, "token.added", by, o, fmt.Sprintf("%s, %s", name, role))); err != nil {
		return "", a.explain(err, name)
	}
	return token, nil
}

// RemoveToken removes a token by its name.
func (a *Access) RemoveToken(ctx context.Context, now time.Time, name string, by Identity, o Origin) error {
	return a.explain(a.store.RemoveToken(ctx, name, event(now, "token.removed", by, o, name)), name)
}

// Tokens are all of them, by name.
func (a *Access) Tokens(ctx context.Context) ([]store.Token, error) { return a.store.Tokens(ctx) }

// Bearer is who presents a token; false where nobody has it.
func (a *Access) Bearer(ctx context.Context, now time.Time, token string, o Origin) (Identity, bool, error) {
	hash := hashOf(token)
	a.mu.Lock()
	shell := subtle.ConstantTimeCompare(hash, a.shell[:]) == 1
	a.mu.Unlock()
	if shell {
		return Identity{Kind: Shell, ID: "shell", Role: Admin}, true, nil
	}
	return a.token(ctx, now, hash, o)
}

func (a *Access) token(ctx context.Context, now time.Time, hash []byte, o Origin) (who Identity, ok bool, err error) {
	t, err := a.store.Token(ctx, hash)
	if err != nil {
		return who, false, ignore(err, store.ErrNotFound)
	}
	if now.Sub(t.Used) >= touchEvery {
		if err := a.store.TouchToken(ctx, hash, now, o.Address); err != nil {
			a.log.Warn("use of a token not noted", "token", t.Name, "err", err)
		}
	}
	return Identity{Kind: Token, ID: t.Name, Name: t.Name, Role: Role(t.Role), hash: hash}, true, nil
}

// Shell writes a new token for the verbs on this machine into the data directory, readable for its owner only. Done takes
// it away.
func (a *Access) Shell(dir string) (done func(), err error) {
	token, hash := secret(tokenPrefix)
	file := filepath.Join(dir, ShellFile)
	part := file + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("access: token of the shell: %w", err)
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("access: token of the shell: %w", err)
	}
	_, err = f.WriteString(token + "\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, file)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("access: token of the shell: %w", err), os.Remove(part))
	}
	a.mu.Lock()
	copy(a.shell[:], hash)
	a.mu.Unlock()
	return func() { _ = os.Remove(file) }, nil // opens nothing any more
}
