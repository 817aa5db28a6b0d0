package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigPrecedence(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte("name = \"file\"\nreserve = \"2GiB\"\nhttp = \"127.0.0.1:1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CAIRN_NAME", "env")
	t.Setenv("CAIRN_HTTP", "127.0.0.1:2")
	t.Setenv("CAIRN_SOMETHING_ELSE", "ignored")
	c, err := LoadConfig(home, map[string]any{"http": "off", "listen": []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "env" || c.HTTP != "" || c.Reserve != 2<<30 || len(c.Listen) != 1 || !c.MDNS {
		t.Errorf("%+v", c)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"nmae = \"x\"", "config.toml:1: unknown key \"nmae\""},
		{"\n\nreserve = \"lots\"", "\"lots\" is not a size"},
		{"listen = [\"here\"]", "\"here\" is not a multiaddr"},
		{"mdns = \"maybe\"", "neither true nor false"},
		{"downloads = \"there\"", "not an absolute path"},
		{"name = ", "config.toml"},
	} {
		home := t.TempDir()
		if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadConfig(home, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
}
