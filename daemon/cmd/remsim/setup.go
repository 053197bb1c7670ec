package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/terminills/remsim-openwrt/daemon/internal/model"
)

// runDiscover shows what is there and how a section would name it.
func runDiscover(ctx context.Context, c *cli, args []string) error {
	if _, err := c.parse("discover", args, 0, 0, nil); err != nil {
		return err
	}
	var found model.Found
	shown, err := c.call(ctx, testTime, "discover", nil, &found)
	if err != nil || shown {
		return err
	}
	c.printFound(&found)
	return nil
}

func (c *cli) printFound(found *model.Found) {
	head := func(what string, n int) {
		if n == 0 {
			what += ": none"
		}
		fmt.Fprintln(c.out, what)
	}
	head("modems", len(found.Modems))
	for _, m := range found.Modems {
		as := "in no section; option match '" + m.Match + "'"
		if m.Configured != "" {
			as = "section " + m.Configured
		}
		fmt.Fprintf(c.out, "  %s %s, %s, IMEI %s, network %s: %s\n", m.Maker, m.Model, m.State, string(m.IMEI), dash(m.Network), as)
	}
	head("fronts", len(found.Fronts))
	for _, f := range found.Fronts {
		fmt.Fprintf(c.out, "  %s %s, %s, for %s: %s\n", f.Kind, f.Device, dash(f.Model), dash(strings.Join(f.FreeFor, " ")), f.Reason)
	}
	head("lines", len(found.Lines))
	for _, l := range found.Lines {
		fmt.Fprintf(c.out, "  %s (%s:%d), %s, used by %s %s\n", dash(l.Name), l.Chip, l.Offset, l.Direction, dash(l.Consumer), l.Role)
	}
	head("networks", len(found.Networks))
	for _, n := range found.Networks {
		up := "down"
		if n.Up {
			up = "up"
		}
		fmt.Fprintf(c.out, "  %s, %s, %s, of modem %s\n", n.Name, n.Proto, up, dash(n.Modem))
	}
	for _, n := range found.Notes {
		fmt.Fprintln(c.out, "not asked:", n)
	}
}

// runCredential stores, removes or lists certificates and keys. What is stored
// comes from a file or from standard input, so that it stands in no history of
// commands.
func runCredential(ctx context.Context, c *cli, args []string) error {
	words, err := c.parse("credential", args, 0, 4, nil)
	if err != nil {
		return err
	}
	call := map[string]string{}
	switch {
	case len(words) == 0 || len(words) == 1 && words[0] == "list":
	case len(words) >= 3 && words[0] == "add":
		text, err := readCredential(word(words, 3))
		if err != nil {
			return err
		}
		call["kind"], call["name"], call["pem"] = words[1], words[2], text
	case len(words) == 3 && words[0] == "remove":
		call["kind"], call["name"] = words[1], words[2]
	default:
		fmt.Fprintln(c.err, "remsim credential: list, add KIND NAME [FILE] or remove KIND NAME is expected; KIND is ca, cert, key or api_key")
		return errUsage
	}
	var reply struct {
		Credentials []model.Credential `json:"credentials"`
	}
	shown, err := c.call(ctx, callTime, "credential", call, &reply)
	if err != nil || shown {
		return err
	}
	if len(reply.Credentials) == 0 {
		fmt.Fprintln(c.out, "nothing is stored")
	}
	for _, k := range reply.Credentials {
		end := ""
		switch {
		case k.Expired(time.Now()):
			end = "  EXPIRED on " + time.Unix(k.Expires, 0).Format("2006-01-02")
		case k.Expires != 0:
			end = "  until " + time.Unix(k.Expires, 0).Format("2006-01-02")
		}
		fmt.Fprintf(c.out, "%-8s %s%s\n", k.Kind, k.Name, end)
	}
	return nil
}

// maxCredential is more than any certificate chain has, in bytes.
const maxCredential = 64 << 10

// readCredential reads a file, or standard input.
func readCredential(file string) (string, error) {
	in := io.Reader(os.Stdin)
	if file != "" && file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxCredential+1))
	switch {
	case err != nil:
		return "", err
	case len(text) > maxCredential:
		return "", fmt.Errorf("more than %d KiB are no credential", maxCredential>>10)
	case len(bytes.TrimSpace(text)) == 0:
		return "", errors.New("there is nothing in it")
	}
	return string(text), nil
}

// runSupport shows what a support archive holds, and writes it if a file is named.
func runSupport(ctx context.Context, c *cli, args []string) error {
	words, err := c.parse("support", args, 0, 1, nil)
	if err != nil {
		return err
	}
	data, err := c.fetchSupport(ctx)
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(map[string]any{"size": len(data), "files": listTar(data)})
	}
	fmt.Fprintln(c.out, "The archive holds, without secrets and identities:")
	for _, f := range listTar(data) {
		fmt.Fprintf(c.out, "%9d  %s\n", f.Size, f.Name)
	}
	file := word(words, 0)
	if file == "" {
		fmt.Fprintln(c.out, "Nothing was written. `remsim support FILE.tar.gz` writes it; look into it before you pass it on.")
		return nil
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	if err = errors.Join(err, out.Close()); err == nil {
		fmt.Fprintln(c.out, "Written to", file)
	}
	return err
}

// fetchSupport fetches the parts of an archive and checks them against its sum.
func (c *cli) fetchSupport(ctx context.Context) ([]byte, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	defer c.progress(ctx, "support")()
	var data []byte
	for part, parts := 0, 1; part < parts; part++ {
		var reply struct {
			Parts  int    `json:"parts"`
			SHA256 string `json:"sha256"`
			Data   string `json:"data"`
		}
		t, err := conn.Call(ctx, object, "support", map[string]int{"part": part})
		if err != nil {
			return nil, explain(err)
		}
		if err := t.Decode(&reply); err != nil {
			return nil, err
		}
		more, err := base64.StdEncoding.DecodeString(reply.Data)
		if err != nil {
			return nil, err
		}
		parts, data = reply.Parts, append(data, more...)
		if sum := sha256.Sum256(data); part == parts-1 && hex.EncodeToString(sum[:]) != reply.SHA256 {
			return nil, errors.New("the archive changed while it was fetched; try again")
		}
	}
	return data, nil
}

// tarFile is a file of an archive.
type tarFile struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

// listTar names what is in a .tar.gz of stored blocks, as the daemon makes it (RFC
// 1951 §3.2.4); of anything else it shows what it could follow.
func listTar(gz []byte) (out []tarFile) {
	var tar []byte
	for rest := gz[min(10, len(gz)):]; len(rest) >= 5; {
		n := int(rest[1]) | int(rest[2])<<8
		last := rest[0]&1 == 1
		rest = rest[5:]
		tar = append(tar, rest[:min(n, len(rest))]...)
		if rest = rest[min(n, len(rest)):]; last {
			break
		}
	}
	for len(tar) >= 512 && tar[0] != 0 {
		name, _, _ := strings.Cut(string(tar[:100]), "\x00")
		size, err := strconv.ParseUint(string(tar[124:135]), 8, 31)
		if err != nil {
			break
		}
		out = append(out, tarFile{Name: name, Size: int(size)})
		tar = tar[min(512+(int(size)+511)&^511, len(tar)):]
	}
	return out
}
