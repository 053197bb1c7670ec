package vm

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
)

// Plan is what init reads from /plan.json.
type Plan struct {
	Modules []string // paths in the machine, in order
	Jobs    []PlanJob
}

// PlanJob is one program to run.
type PlanJob struct {
	Name string
	Path string
	Args []string
}

// entry is one file of the archive.
type entry struct {
	mode uint32 // with the type bits of stat(2)
	from string // file on this side, "" for text
	text []byte
}

const (
	typeFile = 0o100000
	typeDir  = 0o040000
)

// buildInitramfs builds init and packs it with the modules and the jobs.
func buildInitramfs(ctx context.Context, dir string, k Kernel, jobs []Job) (string, error) {
	initPath := filepath.Join(dir, "init")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", initPath,
		"github.com/terminills/remsim-openwrt/tests/vm/init")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build init: %w: %s", err, out)
	}
	files := map[string]entry{"init": {mode: typeFile | 0o755, from: initPath}}
	for _, d := range []string{"dev", "proc", "sys", "tmp", "run", "etc", "modules", "jobs", "data"} {
		files[d] = entry{mode: typeDir | 0o755}
	}
	var plan Plan
	for _, m := range k.Modules {
		name := "modules/" + filepath.Base(m)
		files[name] = entry{mode: typeFile | 0o644, from: m}
		plan.Modules = append(plan.Modules, "/"+name)
	}
	for _, j := range jobs {
		name := "jobs/" + j.Name
		files[name] = entry{mode: typeFile | 0o755, from: j.Path}
		plan.Jobs = append(plan.Jobs, PlanJob{Name: j.Name, Path: "/" + name, Args: j.Args})
		for to, from := range j.Data {
			files["data/"+to] = entry{mode: typeFile | 0o644, from: from}
		}
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return "", fmt.Errorf("write the plan: %w", err)
	}
	files["plan.json"] = entry{mode: typeFile | 0o644, text: text}
	out := filepath.Join(dir, "initrd.gz")
	if err := pack(out, files); err != nil {
		return "", fmt.Errorf("pack the initramfs: %w", err)
	}
	return out, nil
}

// pack writes a cpio archive of the "newc" kind, the one that the kernel
// unpacks (Documentation/driver-api/early-userspace/buffer-format.rst).
func pack(to string, files map[string]entry) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	w := &cpio{w: bufio.NewWriter(z)}
	names := make([]string, 0, len(files))
	for name := range files {
		for d := path.Dir(name); d != "."; d = path.Dir(d) {
			if _, ok := files[d]; !ok {
				files[d] = entry{mode: typeDir | 0o755}
				names = append(names, d)
			}
		}
		names = append(names, name)
	}
	slices.Sort(names) // a directory comes before what is in it
	for i, name := range slices.Compact(names) {
		e := files[name]
		if e.from != "" {
			if e.text, err = os.ReadFile(e.from); err != nil {
				return err
			}
		}
		w.add(i+1, name, e.mode, e.text)
	}
	w.add(0, "TRAILER!!!", 0, nil)
	if err := w.end(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}

type cpio struct {
	w   *bufio.Writer
	n   int
	err error
}

func (c *cpio) add(inode int, name string, mode uint32, data []byte) {
	// magic ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
	c.write([]byte(fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)))
	c.write(append([]byte(name), 0))
	c.pad()
	c.write(data)
	c.pad()
}

func (c *cpio) pad() {
	for c.n%4 != 0 {
		c.write([]byte{0})
	}
}

func (c *cpio) write(b []byte) {
	if c.err == nil {
		var n int
		n, c.err = c.w.Write(b)
		c.n += n
	}
}

func (c *cpio) end() error {
	if c.err != nil {
		return c.err
	}
	return c.w.Flush()
}
