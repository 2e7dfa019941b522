package console

import (
	"bytes"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// TestTheReportPrintsToPDFInChinese (AL15): what a browser prints of it is a PDF of A4 pages whose text is Chinese, to be
// searched and copied.
func TestTheReportPrintsToPDFInChinese(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs chromium (Debian package chromium)")
		}
		t.Skip("needs chromium (Debian package chromium)")
	}
	c := newCanned(home{i18n.Chinese, noon}.well())
	a, events := story()
	c.now.Alarms, c.told = []alarm.Alarm{a}, events
	rec := ask(t, consoleOf(t, c, i18n.Chinese), "GET", "/api/v1/alarms/00000007/report?embed=1", "")
	dir := t.TempDir()
	page, pdf := filepath.Join(dir, "report.html"), filepath.Join(dir, "report.pdf")
	if err := os.WriteFile(page, rec.Body.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--user-data-dir="+filepath.Join(dir, "browser"), "--no-pdf-header-footer", "--print-to-pdf="+pdf, "file://"+page).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(pdf)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte("%PDF-")) || !bytes.Contains(data, []byte("/MediaBox [0 0 594.95996 841.91998]")) && !bytes.Contains(data, []byte("/MediaBox [0 0 595")) {
		t.Errorf("not A4: %.200q", data)
	}
	texts := unpacked(data)
	for _, r := range "报警事件报告临淄区颐康养厨房误蒸汽" { // 老 is also a radical of its own
		if !strings.Contains(texts, fmt.Sprintf("<%04X>", r)) {
			t.Errorf("no %c to be read in it", r)
		}
	}
	if reader, err := exec.LookPath("pdftotext"); err == nil {
		text, err := exec.CommandContext(ctx, reader, pdf, "-").Output()
		if err != nil || !bytes.Contains(text, []byte("报警事件报告")) {
			t.Errorf("%v: %s", err, text)
		}
	}
}

// unpacked are the streams of a PDF as text; among them those that say which letter each glyph is (PDF 1.7, 9.10.3).
func unpacked(pdf []byte) string {
	var all strings.Builder
	for _, part := range bytes.Split(pdf, []byte("stream")) {
		r, err := zlib.NewReader(bytes.NewReader(bytes.TrimLeft(part, "\r\n")))
		if err != nil {
			continue
		}
		_, _ = io.Copy(&all, io.LimitReader(r, 4<<20)) // a stream that is none of text may end early
		all.WriteByte('\n')
	}
	return all.String()
}
