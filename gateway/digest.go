package gateway

import (
	"crypto/md5" // what cameras ask for
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// authorize answers the challenges of a server (RFC 7616, RFC 7617): by digest where it offers that, for then the password
// does not cross the wire. Method is GET.
func authorize(challenges []string, uri, user, password string) (string, error) {
	basic := false
	for _, c := range challenges {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(c), " ")
		switch strings.ToLower(scheme) {
		case "digest":
			if word, ok := digest(parameters(rest), uri, user, password, rand.Text()); ok {
				return word, nil
			}
		case "basic":
			basic = true
		}
	}
	if !basic {
		return "", errors.New("the camera asks for the password in a way that is not known here")
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)), nil
}

// digest is the answer to one challenge; false where its algorithm is not known here.
func digest(p map[string]string, uri, user, password, cnonce string) (string, bool) {
	var sum func() hash.Hash
	switch strings.ToUpper(p["algorithm"]) {
	case "", "MD5":
		sum = md5.New
	case "SHA-256":
		sum = sha256.New
	default:
		return "", false
	}
	h := func(parts ...string) string {
		s := sum()
		s.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(s.Sum(nil))
	}
	const count = "00000001"
	a1, a2 := h(user, p["realm"], password), h("GET", uri)
	word := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s"`, quoted(user), quoted(p["realm"]), quoted(p["nonce"]), uri)
	if hasWord(p["qop"], "auth") {
		word += fmt.Sprintf(`, qop=auth, nc=%s, cnonce="%s", response="%s"`, count, cnonce, h(a1, p["nonce"], count, cnonce, "auth", a2))
	} else { // RFC 2069
		word += fmt.Sprintf(`, response="%s"`, h(a1, p["nonce"], a2))
	}
	if a := p["algorithm"]; a != "" {
		word += ", algorithm=" + a
	}
	if o, ok := p["opaque"]; ok {
		word += fmt.Sprintf(`, opaque="%s"`, quoted(o))
	}
	return word, true
}

func quoted(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) }

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(w), word) {
			return true
		}
	}
	return false
}

// parameters are those of a challenge: name=token or name="text", with commas between them (RFC 9110, 11.2).
func parameters(s string) map[string]string {
	all := map[string]string{}
	for s = strings.TrimLeft(s, " \t,"); s != ""; s = strings.TrimLeft(s, " \t,") {
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return all
		}
		name, rest = strings.ToLower(strings.TrimSpace(name)), strings.TrimLeft(rest, " \t")
		var value strings.Builder
		if quote, is := strings.CutPrefix(rest, `"`); is {
			i := 0
			for ; i < len(quote) && quote[i] != '"'; i++ {
				if quote[i] == '\\' && i+1 < len(quote) {
					i++
				}
				value.WriteByte(quote[i])
			}
			s = quote[min(i+1, len(quote)):]
		} else {
			end := strings.IndexAny(rest, " \t,")
			if end < 0 {
				end = len(rest)
			}
			value.WriteString(rest[:end])
			s = rest[end:]
		}
		all[name] = value.String()
	}
	return all
}
