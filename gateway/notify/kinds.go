package notify

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"embergate/drivers/conf"
)

// kind is one row of the table.
type kind struct {
	// personal: it reaches one person at a time, by their number or address.
	personal bool
	// read reads the keys of a channel, reports mistakes at their place, and makes its sender.
	read func(s conf.Section, o Options) Channel
}

// kinds is the table of all kinds of channels.
var kinds = map[string]kind{
	"webhook":      {read: of(webhookSettings{Timeout: 5 * time.Second}, newWebhook)},
	"wecom":        {read: of(wecomSettings{URL: "https://qyapi.weixin.qq.com"}, newWecom)},
	"dingtalk":     {read: of(dingtalkSettings{URL: "https://oapi.dingtalk.com"}, newDingtalk)},
	"feishu":       {read: of(feishuSettings{}, newFeishu)},
	"aliyun_sms":   {personal: true, read: of(aliyunSMSSettings{URL: "https://dysmsapi.aliyuncs.com", Region: "cn-hangzhou", variables: usual}, newAliyunSMS)},
	"aliyun_voice": {personal: true, read: of(aliyunVoiceSettings{URL: "https://dyvmsapi.aliyuncs.com", PlayTimes: 2, variables: usual}, newAliyunVoice)},
	"tencent_sms":  {personal: true, read: of(tencentSMSSettings{URL: "https://sms.tencentcloudapi.com", Region: "ap-guangzhou", variables: usual}, newTencentSMS)},
	"email":        {personal: true, read: of(emailSettings{}, newEmail)},
	"ntfy":         {read: of(ntfySettings{URL: "https://ntfy.sh"}, newNtfy)},
	"bark":         {read: of(barkSettings{URL: "https://api.day.app", Level: "critical"}, newBark)},
	"telegram":     {read: of(telegramSettings{URL: "https://api.telegram.org"}, newTelegram)},
	"alertmanager": {read: of(alertmanagerSettings{}, newAlertmanager)},
}

// of reads a kind by its settings, with their defaults, and its constructor.
func of[S any, P interface {
	*S
	check(conf.Section)
}](defaults S, build func(S, Options) Channel) func(conf.Section, Options) Channel {
	return func(s conf.Section, o Options) Channel {
		settings := defaults
		s.Decode(&settings)
		P(&settings).check(s)
		return build(settings, o)
	}
}

// Personal tells whether a channel reaches one person at a time, by their number or address.
func (c *Channels) Personal(id string) bool {
	i := slices.IndexFunc(c.list, func(l *line) bool { return l.id == id })
	return i >= 0 && kinds[c.list[i].kind].personal
}

func need(s conf.Section, key, value string) {
	if strings.TrimSpace(value) == "" {
		s.At(key).Problem("%s is needed", key)
	}
}

// needSecret asks for a secret that was not given at all; one that could not be read was reported where it stands.
func needSecret(s conf.Section, key string, value conf.Secret) {
	if !value.IsSet() && !s.At(key).Exists() && !s.At(key+"_file").Exists() {
		s.At(key).Problem("%s is needed, as %s or %s_file", key, key, key)
	}
}

func needURL(s conf.Section, key, value string) {
	if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		s.At(key).Problem("%s begins with http:// or https:// and has a host", key)
	}
}

func oneOf(s conf.Section, key, value string, allowed ...string) {
	for _, a := range allowed {
		if a == value {
			return
		}
	}
	s.At(key).NotOneOf(value, allowed)
}
