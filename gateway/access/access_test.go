package access

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/gateway/store"
)

var (
	noon   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	tablet = Origin{Address: "192.168.1.9", Agent: "Mozilla/5.0", Via: "console"}
	far    = Origin{Address: "203.0.113.7", Agent: "curl/8", Via: "api"}
	roster = []Person{{"zhang", "张三"}, {"li", "李四"}}
	nobody = Identity{ID: "test", Name: "test", Role: Admin}
)

const good = "correct horse battery"

// door is the access to a store of its own, with its log.
type door struct {
	*Access
	t   *testing.T
	ctx context.Context
	st  *store.Store
	log *bytes.Buffer
}

func open(t *testing.T) *door {
	t.Helper()
	d := &door{t: t, ctx: t.Context(), log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(d.log, nil))
	var err error
	if d.st, err = store.Open(t.TempDir(), log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.st.Close() })
	d.Access = New(d.st, roster, log)
	d.cost = cost{64, 1} // the usual one is of TestAnUnknownNameTakesAsLongAsAWrongPassword
	return d
}

// with adds users, each "id role" with the good password.
func (d *door) with(users ...string) *door {
	d.t.Helper()
	for _, u := range users {
		id, role, _ := strings.Cut(u, " ")
		if err := d.AddUser(d.ctx, noon, Account{ID: id, Role: Role(role)}, good, nobody, tablet); err != nil {
			d.t.Fatal(err)
		}
	}
	return d
}

func (d *door) login(user string, o Origin) (cookie string, who Identity) {
	d.t.Helper()
	cookie, who, err := d.Login(d.ctx, noon, user, good, o)
	if err != nil {
		d.t.Fatal(err)
	}
	return cookie, who
}

// journal are the types of the events, with who, how and from where.
func (d *door) journal() (lines []string) {
	d.t.Helper()
	events, err := d.st.Events(d.ctx, 0, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range events {
		lines = append(lines, fmt.Sprintf("%s by %s via %s (%s): %s", e.Type, e.By, e.Via, e.From, e.Note))
	}
	return lines
}

func TestRolesIncludeThoseBefore(t *testing.T) {
	for i, r := range Roles {
		for j, least := range Roles {
			if r.May(least) != (i >= j) {
				t.Errorf("%s may what %s may: %v", r, least, r.May(least))
			}
		}
		if !r.May(Public) || Public.May(r) || Role("root").May(r) || r.May("root") {
			t.Errorf("%s and what is no role", r)
		}
	}
}

// TestTheFirstAdministratorNeedsTheCodeOfTheLog (SE01): there is no default password; the code works once.
func TestTheFirstAdministratorNeedsTheCodeOfTheLog(t *testing.T) {
	d := open(t)
	if needed, err := d.Setup(d.ctx); !needed || err != nil {
		t.Fatal(needed, err)
	}
	_, code, _ := strings.Cut(strings.TrimSpace(d.log.String()), " code=")
	if len(code) != 14 {
		t.Fatalf("the log says %q", d.log)
	}
	first := func(code, id string) (string, Identity, error) {
		return d.AddFirst(d.ctx, noon, code, Account{ID: id, Role: Viewer}, good, tablet)
	}
	if _, _, err := first("AAAA-AAAA-AAAA", "anna"); !errors.Is(err, ErrWrong) {
		t.Error("a wrong code:", err)
	}
	if _, _, err := d.AddFirst(d.ctx, noon, code, Account{ID: "anna"}, "short", tablet); !errors.Is(err, ErrInput) {
		t.Error("a short password:", err)
	}
	cookie, who, err := first(strings.ToLower(strings.ReplaceAll(code, "-", " ")), "anna")
	if err != nil || who.Role != Admin {
		t.Fatal(who, err)
	}
	if again, ok, err := d.Session(d.ctx, noon, cookie, tablet); !ok || err != nil || again.ID != "anna" {
		t.Error("she is logged in:", again, ok, err)
	}
	if _, _, err := first(code, "eve"); !errors.Is(err, ErrConflict) {
		t.Error("the code a second time:", err)
	}
	if needed, err := d.Setup(d.ctx); needed || err != nil {
		t.Error(needed, err)
	}
	for range 100 {
		d.AddFirst(d.ctx, noon, "AAAA-AAAA-AAAA", Account{}, good, far)
	}
}

// TestTheCodeCannotBeGuessed: attempts are throttled like passwords.
func TestTheCodeCannotBeGuessed(t *testing.T) {
	d := open(t)
	var err error
	for i := 0; i < 100 && !errors.Is(err, ErrMany); i++ {
		_, _, err = d.AddFirst(d.ctx, noon, fmt.Sprint(i), Account{ID: "eve"}, good, far)
	}
	if !errors.Is(err, ErrMany) {
		t.Error(err)
	}
}

func TestASessionEndsByItsTimeByLogoutAndByANewPassword(t *testing.T) {
	d := open(t).with("anna admin", "li duty")
	is := func(what string, cookie string, at time.Duration, want bool) {
		t.Helper()
		who, ok, err := d.Session(d.ctx, noon.Add(at), cookie, tablet)
		if ok != want || err != nil {
			t.Errorf("%s: %v %v %v", what, who, ok, err)
		}
	}
	admin, anna := d.login("Anna ", tablet)
	duty, li := d.login("li", tablet)
	is("a secret that is none", "x"+admin, 0, false)
	is("an administrator after 13 idle hours", admin, 13*time.Hour, false)
	is("the duty room after a night", duty, 13*time.Hour, true)
	is("the duty room after a month of silence", duty, 44*24*time.Hour, false)
	for h := range 7 * 24 {
		is("an administrator who works", admin, time.Duration(h)*time.Hour, true)
	}
	is("an administrator after a week", admin, 7*24*time.Hour+time.Minute, false)
	if ok, err := d.Still(d.ctx, noon, li, tablet); !ok || err != nil {
		t.Error("a stream goes on:", ok, err)
	}
	if err := d.EndSession(d.ctx, noon, li, anna.Session, tablet); !errors.Is(err, ErrNotFound) {
		t.Error("she ends the session of another:", err)
	}
	if err := d.EndSession(d.ctx, noon, anna, li.Session, tablet); err != nil {
		t.Error("the administrator does:", err)
	}
	is("ended by the administrator", duty, 0, false)
	if ok, err := d.Still(d.ctx, noon, li, tablet); ok || err != nil {
		t.Error("a stream ends with its session:", ok, err)
	}
	other, _ := d.login("anna", far)
	if err := d.SetPassword(d.ctx, noon, "anna", good+"!", anna, tablet); err != nil {
		t.Fatal(err)
	}
	is("her other browser, after a new password", other, 0, false)
	is("her own", admin, 0, true)
	if err := d.Logout(d.ctx, noon, anna, tablet); err != nil {
		t.Fatal(err)
	}
	is("after logout", admin, 0, false)
	duty, li = d.login("li", tablet)
	if err := d.ChangeUser(d.ctx, noon, Account{ID: "li", Role: Viewer}, anna, tablet); err != nil {
		t.Fatal(err)
	}
	if who, _, _ := d.Session(d.ctx, noon, duty, tablet); who.Role != Viewer {
		t.Error("a role that becomes less does so at once:", who)
	}
	if ok, _ := d.Still(d.ctx, noon, li, tablet); ok {
		t.Error("and ends the streams that it no longer may")
	}
	if err := d.RemoveUser(d.ctx, noon, "li", anna, tablet); err != nil {
		t.Fatal(err)
	}
	is("after removal", duty, 0, false)
}

// TestWhoLogsInWhileThePasswordChangesIsOut: hashing takes long, and a password that is known to others is changed in a hurry.
// Neither a session nor a password comes of the old one any more (SE02).
func TestWhoLogsInWhileThePasswordChangesIsOut(t *testing.T) {
	d := open(t).with("anna admin", "li duty")
	_, anna := d.login("anna", tablet)
	before, err := d.confirm(d.ctx, noon, "li", good, far)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.SetPassword(d.ctx, noon, "li", good+"!", anna, tablet); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.begin(d.ctx, noon, before, far); !errors.Is(err, ErrWrong) {
		t.Error("a session of the old password:", err)
	}
	if err := d.setPassword(d.ctx, noon, store.NewPassword{User: "li", Was: before.Password}, good+"?", identify(before), far); !errors.Is(err, ErrNotFound) {
		t.Error("a new password by the old one:", err)
	}
	if _, _, err := d.Login(d.ctx, noon, "li", good+"!", tablet); err != nil {
		t.Error("the password that was set:", err)
	}
	if err := d.ChangePassword(d.ctx, noon, good, good+"?", identify(before), tablet); !errors.Is(err, ErrWrong) {
		t.Error("somebody who knows the old one changes it:", err)
	}
	if err := d.ChangePassword(d.ctx, noon, good+"!", good+"?", identify(before), tablet); err != nil {
		t.Error(err)
	}
}

// TestWhoIsLoggedInIsListed: own sessions, and for the administrator all, without those that have ended.
func TestWhoIsLoggedInIsListed(t *testing.T) {
	d := open(t).with("anna admin", "li duty")
	d.login("anna", tablet)
	d.login("li", tablet)
	d.login("li", far)
	for user, want := range map[string]int{"li": 2, "": 3, "eve": 0} {
		if all, err := d.Sessions(d.ctx, noon, user); len(all) != want || err != nil {
			t.Errorf("%q: %v %v", user, all, err)
		}
	}
	if all, _ := d.Sessions(d.ctx, noon.Add(24*time.Hour), ""); len(all) != 2 {
		t.Errorf("the administrator's has ended: %v", all)
	}
}

// TestFailedLoginsAreThrottled (SE02), by account and by address; but whoever is logged in on a screen can log in there
// again, however a stranger hammers.
func TestFailedLoginsAreThrottled(t *testing.T) {
	d := open(t).with("anna admin", "li duty")
	d.login("li", tablet)
	fail := func(user string, o Origin) error {
		_, _, err := d.Login(d.ctx, noon, user, "wrong password", o)
		return err
	}
	tries := func(user func(i int) string, from func(i int) Origin, atMost int) (n int) {
		t.Helper()
		for ; n < atMost; n++ {
			if err := fail(user(n), from(n)); errors.Is(err, ErrMany) {
				return n
			} else if !errors.Is(err, ErrWrong) {
				t.Fatal(err)
			}
		}
		return n
	}
	li := func(int) string { return "li" }
	if n := tries(li, func(int) Origin { return far }, 50); n != 5 {
		t.Errorf("one account from one address: %d tries", n)
	}
	everywhere := func(i int) Origin { return Origin{Address: fmt.Sprintf("198.51.100.%d", i)} }
	if n := tries(li, everywhere, 50); n != 15 {
		t.Errorf("one account from everywhere: %d tries more", n)
	}
	if n := tries(func(i int) string { return fmt.Sprintf("guess%d", i) }, func(int) Origin { return Origin{Address: "192.0.2.1"} }, 50); n != 20 {
		t.Errorf("any name from one address: %d tries", n)
	}
	host := 0
	if n := tries(li, func(i int) Origin { host++; return Origin{Address: fmt.Sprintf("2001:db8::%d", host)} }, 3); n != 0 {
		t.Errorf("another address does not help: %d tries", n)
	}
	if _, _, err := d.Login(d.ctx, noon, "li", good, tablet); err != nil {
		t.Error("the screen on which li is logged in:", err)
	}
	if _, _, err := d.Login(d.ctx, noon, "anna", good, tablet); err != nil {
		t.Error("everybody else:", err)
	}
	var refused *Refused
	if err := fail("li", far); !errors.As(err, &refused) || refused.After < time.Second || refused.After > time.Minute {
		t.Error(err)
	}
	if _, _, err := d.Login(d.ctx, noon.Add(10*time.Minute), "li", good, far); err != nil {
		t.Error("later:", err)
	}
}

// TestTheThrottleIsBounded: names and addresses are an attacker's to choose.
func TestTheThrottleIsBounded(t *testing.T) {
	th := NewThrottle()
	for i := range 3 * mostBuckets {
		th.Take(noon, Want{fmt.Sprint(i), pairLimit})
	}
	if n := len(th.buckets); n > mostBuckets {
		t.Error(n)
	}
}

// TestWhoIsRefusedForLongIsForgottenLast: nobody gets new guesses at an account by trying from everywhere meanwhile, be it once
// or often, and what is refused costs no memory.
func TestWhoIsRefusedForLongIsForgottenLast(t *testing.T) {
	th := NewThrottle()
	account := Want{"account anna", accountLimit}
	for th.Take(noon, account) == 0 {
	}
	for i := range 3 * mostBuckets {
		th.Take(noon, Want{fmt.Sprint("address ", i), addressLimit})
	}
	if th.Take(noon, account) == 0 {
		t.Error("forgotten among those who tried once")
	}
	before := len(th.buckets)
	for i := range 100 {
		th.Take(noon, Want{fmt.Sprint("another ", i), addressLimit}, account)
	}
	if n := len(th.buckets); n != before {
		t.Errorf("%d buckets for what is refused", n-before)
	}
}

// TestTheThrottleTellsNotWhichNamesThereAre (SE02): of a name that nobody has, guesses are refused as soon as of any other.
func TestTheThrottleTellsNotWhichNamesThereAre(t *testing.T) {
	d := open(t).with("anna admin")
	tries := func(user string, from func(i int) string) (said string) {
		for i := range 30 {
			_, _, err := d.Login(d.ctx, noon, user, "wrong password", Origin{Address: from(i)})
			said += map[bool]string{true: "w", false: "-"}[errors.Is(err, ErrWrong)]
		}
		return said
	}
	for i, from := range []func(int) string{
		func(int) string { return "203.0.113.%d" },
		func(i int) string { return fmt.Sprintf("198.51.100.%d", i) },
	} {
		there := tries("anna", func(i int) string { return strings.ReplaceAll(from(i), "%d", "1") })
		if not := tries("Eve", func(i int) string { return strings.ReplaceAll(from(i), "%d", "2") }); there != not {
			t.Errorf("%d: %s of anna, %s of nobody", i, there, not)
		}
	}
}

// TestWhatIsTypedAsANameIsNotRepeated: it may be a password. And a flood of failures does not fill the journal.
func TestWhatIsTypedAsANameIsNotRepeated(t *testing.T) {
	d := open(t).with("anna admin")
	for i := range 200 {
		d.Login(d.ctx, noon, "hunter2-as-a-name", "hunter2", Origin{Address: fmt.Sprintf("198.51.100.%d", i), Via: "console"})
	}
	lines := d.journal()
	if len(lines) > 25 || !strings.HasPrefix(lines[1], "login.failed by  via console (nobody, 198.51.100.0)") {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
	if all := strings.Join(lines, "") + d.log.String(); strings.Contains(all, "hunter2") {
		t.Error(all)
	}
}

// TestEveryChangeIsInTheJournal (SE04): who, what, from where; never a password or token.
func TestEveryChangeIsInTheJournal(t *testing.T) {
	d := open(t).with("anna admin")
	cookie, anna := d.login("anna", tablet)
	token, err := d.AddToken(d.ctx, noon, "grafana", Viewer, anna, tablet)
	for _, err := range []error{
		err,
		d.AddUser(d.ctx, noon, Account{ID: "李四", Role: Duty, Person: "li"}, good, anna, tablet),
		d.ChangeUser(d.ctx, noon, Account{ID: "李四", Role: Maintainer}, anna, tablet),
		d.SetPassword(d.ctx, noon, "李四", good+good, anna, tablet),
		d.RemoveUser(d.ctx, noon, "李四", anna, tablet),
		d.RemoveToken(d.ctx, noon, "grafana", anna, tablet),
		d.Logout(d.ctx, noon, anna, tablet),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	d.Login(d.ctx, noon, "anna", "wrong password", far)
	want := []string{
		"user.added by test via console (test, 192.168.1.9): anna, admin",
		"login by anna via console (anna, 192.168.1.9): ",
		"token.added by anna via console (anna, 192.168.1.9): grafana, viewer",
		"user.added by anna via console (anna, 192.168.1.9): 李四, duty",
		"user.changed by anna via console (anna, 192.168.1.9): 李四, maintainer, before duty",
		"user.password by anna via console (anna, 192.168.1.9): 李四",
		"user.removed by anna via console (anna, 192.168.1.9): 李四",
		"token.removed by anna via console (anna, 192.168.1.9): grafana",
		"logout by anna via console (anna, 192.168.1.9): ",
		"login.failed by anna via api (anna, 203.0.113.7): ",
	}
	got := d.journal()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	all := strings.Join(got, "\n") + d.log.String()
	for _, secret := range []string{good, token, cookie, "wrong password", "argon2id"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is shown: %s", secret, all)
		}
	}
}

func TestAccountsThatAreRefused(t *testing.T) {
	d := open(t).with("anna admin")
	for _, test := range []struct {
		name     string
		account  Account
		password string
		cause    error
	}{
		{"no id", Account{Role: Duty}, good, ErrInput},
		{"a space in the id", Account{ID: "li si", Role: Duty}, good, ErrInput},
		{"a slash in the id", Account{ID: "li/si", Role: Duty}, good, ErrInput},
		{"a long id", Account{ID: strings.Repeat("李", 41), Role: Duty}, good, ErrInput},
		{"a long name", Account{ID: "li", Name: strings.Repeat("李", 41), Role: Duty}, good, ErrInput},
		{"no role", Account{ID: "li"}, good, ErrInput},
		{"a role that there is not", Account{ID: "li", Role: "root"}, good, ErrInput},
		{"a shared administrator", Account{ID: "li", Role: Admin, Shared: true}, good, ErrInput},
		{"a person who is not on the roster", Account{ID: "li", Role: Duty, Person: "wang"}, good, ErrInput},
		{"an id that is taken, in other letters", Account{ID: "ANNA", Role: Duty}, good, ErrConflict},
		{"no password", Account{ID: "li", Role: Duty}, "", ErrInput},
		{"seven characters", Account{ID: "li", Role: Duty}, "1234567", ErrInput},
		{"a password of 129 characters", Account{ID: "li", Role: Duty}, strings.Repeat("密", 129), ErrInput},
		{"the name as password", Account{ID: "lilililili", Role: Duty}, "LILILILILI", ErrInput},
	} {
		if err := d.AddUser(d.ctx, noon, test.account, test.password, nobody, tablet); !errors.Is(err, test.cause) {
			t.Errorf("%s: %v, want %v", test.name, err, test.cause)
		}
	}
	if err := d.RemoveUser(d.ctx, noon, "anna", nobody, tablet); !errors.Is(err, ErrConflict) {
		t.Error("the last administrator:", err)
	}
	if err := d.AddUser(d.ctx, noon, Account{ID: "李", Role: Duty}, strings.Repeat("密", 128), nobody, tablet); err != nil {
		t.Error("128 Chinese characters:", err)
	}
}

// TestAnUnknownNameTakesAsLongAsAWrongPassword: both are hashed with the same costs.
func TestAnUnknownNameTakesAsLongAsAWrongPassword(t *testing.T) {
	d := open(t)
	d.cost = usualCost
	u, err := d.with("anna admin").User(d.ctx, "anna")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(u.Password, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Error(u.Password)
	}
	stranger := d.cost.stranger()
	costs := func(hash string) string { return hash[:strings.LastIndex(hash, "p=1$")] }
	if costs(u.Password) != costs(stranger) || len(u.Password) != len(stranger) {
		t.Errorf("%s\n%s", u.Password, stranger)
	}
	if ok, err := d.verify(d.ctx, stranger, ""); ok || err != nil {
		t.Error("nobody's password:", ok, err)
	}
	if _, err := d.verify(d.ctx, "$argon2id$v=19$m=19456,t=2,p=1$AAAA$BBBB", good); err == nil || strings.Contains(err.Error(), "BBBB") {
		t.Error("a damaged row:", err)
	}
	for range hashesAtOnce {
		d.hashing <- struct{}{}
	}
	ctx, cancel := context.WithCancel(d.ctx)
	cancel()
	if _, err := d.hash(ctx, good); !errors.Is(err, context.Canceled) {
		t.Error("at most two hashes at once:", err)
	}
}

// TestTokens: recognisable, kept as a hash, noted when used, gone when removed; the shell's is a file of its own.
func TestTokens(t *testing.T) {
	d := open(t).with("anna admin")
	token, err := d.AddToken(d.ctx, noon, "grafana", Viewer, nobody, tablet)
	if err != nil || !strings.HasPrefix(token, "eg_") || len(token) != 46 {
		t.Fatal(token, err)
	}
	for name, role := range map[string]Role{"grafana": Viewer, "two words": Viewer, "prometheus": "root"} {
		if _, err := d.AddToken(d.ctx, noon, name, role, nobody, tablet); err == nil {
			t.Error("added:", name, role)
		}
	}
	who, ok, err := d.Bearer(d.ctx, noon.Add(time.Hour), token, far)
	if !ok || err != nil || who.Role != Viewer || who.Name != "grafana" || who.From(far) != "token grafana, 203.0.113.7" {
		t.Error(who, ok, err)
	}
	all, err := d.Tokens(d.ctx)
	if err != nil || len(all) != 1 || !all[0].Used.Equal(noon.Add(time.Hour)) || all[0].Address != far.Address || bytes.Contains(all[0].Hash, []byte(token)) {
		t.Error(all, err)
	}
	if err := d.RemoveToken(d.ctx, noon, "grafana", nobody, tablet); err != nil {
		t.Error(err)
	}
	for _, none := range []string{token, "", "eg_", "eg_" + strings.Repeat("A", 43)} {
		if who, ok, err := d.Bearer(d.ctx, noon, none, far); ok || err != nil {
			t.Errorf("%q opens as %v: %v", none, who, err)
		}
	}
	dir := t.TempDir()
	done, err := d.Shell(dir)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, ShellFile)
	text, err := os.ReadFile(file)
	info, _ := os.Stat(file)
	if err != nil || info.Mode() != 0o600 {
		t.Fatal(err, info)
	}
	if who, ok, _ := d.Bearer(d.ctx, noon, strings.TrimSpace(string(text)), far); !ok || who.Kind != Shell || who.Role != Admin {
		t.Error(who, ok)
	}
	if again, err := d.Shell(dir); err != nil || again == nil {
		t.Error(err)
	}
	if _, ok, _ := d.Bearer(d.ctx, noon, strings.TrimSpace(string(text)), far); ok {
		t.Error("the token of an earlier start still opens")
	}
	done()
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file is left:", err)
	}
}

// TestWhoseNameAnActCarries (UI07): one's own; where a tablet is shared, that of somebody of the roster.
func TestWhoseNameAnActCarries(t *testing.T) {
	d := open(t)
	own := Identity{Kind: User, ID: "zhang", Name: "张三", Role: Duty}
	shared := Identity{Kind: User, ID: "tablet-f1", Name: "一层平板", Role: Duty, Shared: true}
	for _, test := range []struct {
		name    string
		who     Identity
		by      string
		want    string
		refused error
	}{
		{"one's own, unsaid", own, "", "张三", nil},
		{"one's own", own, "张三", "张三", nil},
		{"one's own, by the id", own, "zhang", "张三", nil},
		{"another's", own, "李四", "", ErrConflict},
		{"a program's", Identity{Kind: Token, ID: "pager", Name: "pager"}, "", "pager", nil},
		{"a program that says another", Identity{Kind: Token, ID: "pager", Name: "pager"}, "张三", "", ErrConflict},
		{"a shared tablet", shared, "李四", "李四", nil},
		{"a shared tablet, by the id", shared, "li", "李四", nil},
		{"a shared tablet that does not say", shared, "", "", ErrInput},
		{"a shared tablet and a stranger", shared, "王五", "", ErrInput},
		{"the shell", Identity{Kind: Shell}, "王五", "王五", nil},
		{"the shell that does not say", Identity{Kind: Shell}, "", "", ErrInput},
	} {
		if got, err := d.Sign(test.who, test.by); got != test.want || !errors.Is(err, test.refused) {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
	d.people = nil
	if got, err := d.Sign(shared, "王五"); got != "王五" || err != nil {
		t.Error("without a roster:", got, err)
	}
}

// TestALoginWorksWhileTheDiskTakesNothing: somebody wants to answer an alarm. It ends with a new password, as every one.
func TestALoginWorksWhileTheDiskTakesNothing(t *testing.T) {
	d := open(t).with("anna admin")
	u, err := d.User(d.ctx, "anna")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(d.st.Dir(), store.StateFile))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(`ALTER TABLE sessions ADD COLUMN broken TEXT`) // no session can be written any more
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	cookie, who, err := d.begin(d.ctx, noon, u, tablet)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := d.Session(d.ctx, noon.Add(time.Hour), cookie, tablet); !ok || err != nil {
		t.Error(ok, err)
	}
	if all, err := d.Sessions(d.ctx, noon, "anna"); len(all) != 1 || err != nil {
		t.Error(all, err)
	}
	if err := d.Logout(d.ctx, noon, who, tablet); err != nil {
		t.Error(err)
	}
	if _, ok, _ := d.Session(d.ctx, noon, cookie, tablet); ok {
		t.Error("after logout")
	}
	for range 2 * mostBare {
		d.begin(d.ctx, noon, u, tablet)
	}
	if n := len(d.bare); n != mostBare {
		t.Error("sessions in memory:", n)
	}
}

// FuzzStoredPassword: whatever a row holds, it is refused or costs no more than is allowed.
func FuzzStoredPassword(f *testing.F) {
	f.Add(usualCost.stranger())
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$AAAA$AAAA")
	f.Add("$argon2id$v=19$m=64,t=0,p=1$$")
	f.Add("$2y$10$abcdefghijklmnopqrstuv")
	f.Fuzz(func(t *testing.T, hash string) {
		c, _, key, err := read(hash)
		if err == nil && (len(key) != keyBytes || c.memory > 128<<10 || c.passes < 1 || c.passes > 64) {
			t.Errorf("%q: %+v, %d bytes", hash, c, len(key))
		}
	})
}
