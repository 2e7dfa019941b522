package sim

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// maxBody bounds a request after decompression, in bytes.
const maxBody = 16 << 20

// web is an HTTP server of the home.
type web struct {
	server *http.Server
	url    string
	ended  sync.WaitGroup
}

func newWeb(name, address string, log *slog.Logger, handler http.Handler) (*web, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("sim: %s: %w", name, err)
	}
	w := &web{url: "http://" + listener.Addr().String(), server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	w.ended.Go(func() { _ = w.server.Serve(listener) })
	return w, nil
}

func (w *web) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if w.server.Shutdown(ctx) != nil {
		w.server.Close()
	}
	w.ended.Wait()
}

// platform takes series as InfluxDB 2 does: it counts them and keeps none.
type platform struct {
	*web
	token           string
	down            atomic.Bool
	requests, lines atomic.Int64
}

func newPlatform(address string, log *slog.Logger) (*platform, error) {
	p := &platform{token: secret()}
	mux := http.NewServeMux()
	mux.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"name":"influxdb","message":"ready for queries and writes","status":"pass"}`)
	})
	mux.HandleFunc("POST /api/v2/write", p.write)
	var err error
	p.web, err = newWeb("platform", address, log, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down.Load() {
			panic(http.ErrAbortHandler) // the connection breaks, as with a machine that is gone
		}
		mux.ServeHTTP(w, r)
	}))
	if err != nil {
		return nil, err
	}
	return p, nil
}

// write counts the lines of a batch and accepts it: 204, or an InfluxDB error body.
func (p *platform) write(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Token "+p.token)) != 1 {
		refuse(w, http.StatusUnauthorized, "unauthorized", "unauthorized access")
		return
	}
	body := io.Reader(http.MaxBytesReader(w, r.Body, maxBody))
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			refuse(w, http.StatusInternalServerError, "internal error", err.Error()) // as InfluxDB 2.7 answers
			return
		}
		body = unzipped
	}
	lines, err := countLines(io.LimitReader(body, maxBody+1))
	switch {
	case errors.As(err, new(*http.MaxBytesError)) || errors.Is(err, errTooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "request too large", "the batch is too large")
	case err != nil:
		refuse(w, http.StatusBadRequest, "invalid", err.Error())
	default:
		p.requests.Add(1)
		p.lines.Add(lines)
		w.WriteHeader(http.StatusNoContent)
	}
}

var errTooLarge = errors.New("too large")

// countLines counts the lines that are not empty.
func countLines(r io.Reader) (lines int64, err error) {
	size := 0
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if size += len(scanner.Bytes()) + 1; size > maxBody {
			return 0, errTooLarge
		}
		if len(scanner.Bytes()) > 0 {
			lines++
		}
	}
	return lines, scanner.Err()
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"code": code, "message": message})
}

// Message is one message on the phone, as the contract, section 6, has it.
type Message struct {
	Event string    `json:"event"`
	ID    string    `json:"id"`
	Time  time.Time `json:"time"`
	Late  bool      `json:"late"`
	Text  string    `json:"text"`
	Alarm *struct {
		ID      string `json:"id"`
		Rule    string `json:"rule"`
		Level   string `json:"level"`
		Class   string `json:"class"`
		Signal  string `json:"signal"`
		Device  string `json:"device"`
		State   string `json:"state"`
		Message string `json:"message"`
	} `json:"alarm"`
	Received time.Time       `json:"-"` // when the phone had it
	Body     json.RawMessage `json:"-"` // as it was sent
}

// keptMessages is how many messages the phone keeps.
const keptMessages = 1000

// phone takes the messages for the person on duty. It refuses a wrong signature and one older than five minutes.
type phone struct {
	*web
	secret string

	mu       sync.Mutex // guards messages
	messages []Message
}

func newPhone(address string, log *slog.Logger) (*phone, error) {
	p := &phone{secret: secret()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hook", p.take)
	var err error
	if p.web, err = newWeb("phone", address, log, mux); err != nil {
		return nil, err
	}
	p.url += "/hook"
	return p, nil
}

func (p *phone) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "too large", err.Error())
		return
	}
	if err := p.verify(r.Header, body, time.Now()); err != nil {
		refuse(w, http.StatusUnauthorized, "signature", err.Error())
		return
	}
	var m Message
	if err := json.Unmarshal(body, &m); err != nil {
		refuse(w, http.StatusBadRequest, "invalid", err.Error())
		return
	}
	m.Received, m.Body = time.Now(), body
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.messages) == keptMessages {
		p.messages = append([]Message(nil), p.messages[1:]...)
	}
	p.messages = append(p.messages, m)
}

// verify checks the signature of the contract, section 6: hex HMAC-SHA256 of timestamp + "." + body.
func (p *phone) verify(header http.Header, body []byte, now time.Time) error {
	stamp := header.Get("X-Embergate-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("X-Embergate-Timestamp %q is not a number of seconds", stamp)
	}
	if age := now.Sub(time.Unix(seconds, 0)).Abs(); age > 5*time.Minute {
		return fmt.Errorf("X-Embergate-Timestamp is %v away", age)
	}
	if header.Get("X-Embergate-Event") == "" {
		return errors.New("X-Embergate-Event is missing")
	}
	mac := hmac.New(sha256.New, []byte(p.secret))
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	if !hmac.Equal([]byte("v1="+hex.EncodeToString(mac.Sum(nil))), []byte(header.Get("X-Embergate-Signature"))) {
		return errors.New("X-Embergate-Signature does not match")
	}
	return nil
}

func (p *phone) list() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Message(nil), p.messages...)
}
