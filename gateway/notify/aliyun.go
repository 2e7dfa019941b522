package notify

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// aliyunCodes are those of short messages and voice calls of 阿里云. A limit a minute passes; one of an hour, a day or a
// month does not in time.
var aliyunCodes = codes{
	{code: "OK"},
	{code: "isp.SYSTEM_ERROR", class: retry},
	{code: "isp.GATEWAY_ERROR", class: retry},
	{code: "isp.UNKNOWN", class: retry},
	{code: "Throttling*", class: retry},
	{code: "ServiceUnavailable", class: retry},
	{code: "isv.BUSINESS_LIMIT_CONTROL", says: "小时", class: never},
	{code: "isv.BUSINESS_LIMIT_CONTROL", says: "天", class: never},
	{code: "isv.BUSINESS_LIMIT_CONTROL", says: "月", class: never},
	{code: "isv.BUSINESS_LIMIT_CONTROL", class: retry, wait: time.Minute},
	{code: "isv.DAY_LIMIT_CONTROL", class: never},
	{code: "isv.MONTH_LIMIT_CONTROL", class: never},
	{code: "isv.MOBILE_NUMBER_ILLEGAL", class: never},
	{code: "isv.MOBILE_COUNT_OVER_LIMIT", class: never},
	{code: "isv.TEMPLATE_MISSING_PARAMETERS", class: never},
	{code: "isv.INVALID_PARAMETERS", class: never},
	{code: "isv.INVALID_JSON_PARAM", class: never},
	{code: "isv.PARAM_LENGTH_LIMIT", class: never},
	{code: "isv.PARAM_NOT_SUPPORT_URL", class: never},
	{code: "isv.BLACK_KEY_CONTROL_LIMIT", class: never},
	{code: "isv.SMS_SIGNATURE_ILLEGAL", class: never},
	{code: "isv.SMS_TEMPLATE_ILLEGAL", class: never},
	{code: "isv.VOICE_FILE_ILLEGAL", class: never},
	{code: "isv.DISPLAY_NUMBER_ILLEGAL", class: never},
	{code: "isv.BILLID_NOT_EXIST", class: never},
	// Money and keys:
	{code: "isv.OUT_OF_SERVICE", class: never},
	{code: "isv.AMOUNT_NOT_ENOUGH", class: never},
	{code: "isv.PRODUCT_UN_SUBSCRIPT", class: never},
	{code: "isv.PRODUCT_UNSUBSCRIBE", class: never},
	{code: "isv.ACCOUNT_NOT_EXISTS", class: never},
	{code: "isv.ACCOUNT_ABNORMAL", class: never},
	{code: "isp.RAM_PERMISSION_DENY", class: never},
	{code: "SignatureDoesNotMatch", class: never},
	{code: "InvalidAccessKeyId.NotFound", class: never},
	// The time, or a number that is used once:
	{code: "InvalidTimeStamp.Expired", class: clock},
	{code: "SignatureNonceUsed", class: clock},
}

const (
	aliyunVersion = "2017-05-25"
	aliyunTime    = "2006-01-02T15:04:05Z"
)

// aliyunAnswer reads an answer; "" is one without a code. The id is of the message or the call.
func aliyunAnswer(body []byte) (code, says, id string) {
	var got struct {
		Code    string
		Message string
		BizID   string `json:"BizId"`
		CallID  string `json:"CallId"`
	}
	if json.Unmarshal(body, &got) != nil || got.Code == "" {
		return "", "", ""
	}
	return got.Code, got.Message, got.BizID + got.CallID
}

// aliyunV1 is the signature of parameters after the RPC style, version 1.0.
//
//	base64(HMAC-SHA1(key: secret + "&", METHOD + "&%2F&" + escaped(query)))
func aliyunV1(method string, parameters map[string]string, secret string) string {
	sum := hmac.New(sha1.New, []byte(secret+"&"))
	sum.Write([]byte(method + "&%2F&" + aliyunEscape(aliyunQuery(parameters))))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// aliyunV3 is the header Authorization of a request without a body, after ACS3-HMAC-SHA256. All headers given are signed.
//
//	canonical = METHOD \n / \n query \n (name:value \n)… \n names \n hex(SHA256(body))
//	signature = hex(HMAC-SHA256(secret, "ACS3-HMAC-SHA256\n" + hex(SHA256(canonical))))
func aliyunV3(method string, parameters map[string]string, host string, header http.Header, id, secret string) string {
	values := map[string]string{"host": host}
	for name := range header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-acs-") {
			values[name] = strings.TrimSpace(header.Get(name))
		}
	}
	names := slices.Sorted(maps.Keys(values))
	var canonical strings.Builder
	canonical.WriteString(method + "\n/\n" + aliyunQuery(parameters) + "\n")
	for _, name := range names {
		canonical.WriteString(name + ":" + values[name] + "\n")
	}
	signed := strings.Join(names, ";")
	canonical.WriteString("\n" + signed + "\n" + values["x-acs-content-sha256"])
	sum := hmac.New(sha256.New, []byte(secret))
	sum.Write([]byte("ACS3-HMAC-SHA256\n" + hexSHA256(canonical.String())))
	return fmt.Sprintf("ACS3-HMAC-SHA256 Credential=%s,SignedHeaders=%s,Signature=%s", id, signed, hex.EncodeToString(sum.Sum(nil)))
}

// aliyunQuery are parameters, sorted and escaped.
func aliyunQuery(parameters map[string]string) string {
	pairs := make([]string, 0, len(parameters))
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		pairs = append(pairs, aliyunEscape(name)+"="+aliyunEscape(parameters[name]))
	}
	return strings.Join(pairs, "&")
}

// aliyunEscape escapes after RFC 3986: a space is %20, * is %2A, ~ stays.
func aliyunEscape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

func hexSHA256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// newNonce is a number that is used once.
func newNonce() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// aliyunVariables are the values of a template, as JSON, by name.
func aliyunVariables(names, values []string) string {
	all := map[string]string{}
	for i, name := range names {
		all[name] = values[i]
	}
	return string(compact(all))
}
