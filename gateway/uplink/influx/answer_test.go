package influx

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
)

var verdicts = map[verdict]string{retry: "retry", hold: "hold", tooLarge: "too large", lineLost: "lost", linesKept: "partial", unclear: "unclear"}

// say is what was read out of an answer, as testdata/answers.txt says it.
func (r *refusal) say() string {
	said := verdicts[r.verdict]
	if r.dropped > 0 {
		said += fmt.Sprintf(", dropped %d", r.dropped)
	}
	for i, l := range r.lines {
		said += []string{", lines ", " "}[min(i, 1)] + strconv.Itoa(l.number)
	}
	if r.after > 0 {
		said += ", after " + r.after.String()
	}
	return said
}

// TestAnswersOfServersAreSorted: what InfluxDB 1.8, 2 and 3, and what stands before them, is known to answer.
// Rows SF07, SF08, SF09 and SF13.
func TestAnswersOfServersAreSorted(t *testing.T) {
	text, err := os.ReadFile("testdata/answers.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(strings.TrimSpace(string(text)), "\n\n")[1:]
	for _, c := range cases {
		lines := strings.Split(c, "\n")
		if len(lines) != 4 || !strings.HasPrefix(lines[3], "= ") {
			t.Fatalf("not a case:\n%s", c)
		}
		code, fields, _ := strings.Cut(lines[1], " ")
		status, err := strconv.Atoi(code)
		if err != nil {
			t.Fatalf("%v:\n%s", err, c)
		}
		header := http.Header{}
		for f := range strings.SplitSeq(fields, "; ") {
			if name, value, ok := strings.Cut(f, ": "); ok {
				header.Set(name, value)
			}
		}
		r := sort(status, header, []byte(lines[2]))
		if got, want := r.say(), strings.TrimPrefix(lines[3], "= "); got != want {
			t.Errorf("%s\n got %s\nwant %s", lines[0], got, want)
		}
		if r.words == "" || strings.Contains(r.words, `{"`) {
			t.Errorf("%s: words %q", lines[0], r.words)
		}
	}
}
