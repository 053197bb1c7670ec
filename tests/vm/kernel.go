package vm

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// meta is Debian's package of the kernel line that is closest to OpenWrt's;
// it depends on the image package with the exact version.
const meta = "linux-image-6.12-amd64"

// source holds the same kernel's source.
const source = "linux-source-6.12"

// Kernel is a kernel that can be booted, with the modules to load, in order.
type Kernel struct {
	Release string // 6.12.117+deb12-amd64
	Image   string
	Modules []string
	Built   bool // false: it came from the cache
}

// packaged are the modules of Debian's own that are loaded, in this order:
// configfs for gpio-sim, then USB with a host controller whose devices a test can play.
var packaged = []string{
	"fs/configfs/configfs", "drivers/usb/common/usb-common", "drivers/usb/core/usbcore",
	"drivers/usb/usbip/usbip-core", "drivers/usb/usbip/vhci-hcd",
}

//go:embed kernel.go
var recipe []byte

// moduleMakefile builds gpio-sim with the interrupt simulator inside, which
// Debian's kernel lacks (CONFIG_IRQ_SIM is off).
const moduleMakefile = `obj-m := gpio-sim.o
gpio-sim-y := sim.o irq_sim.o
ccflags-y := -DCONFIG_IRQ_SIM=1
`

// GetKernel returns the kernel from the cache, or downloads Debian's packages
// and builds what is missing. Only this machine's package lists are read to
// find the version, so they have to be there (apt-get update).
func GetKernel(ctx context.Context, cache string) (Kernel, error) {
	release, version, err := findRelease(ctx)
	if err != nil {
		return Kernel{}, err
	}
	sum := sha256.Sum256(append([]byte(version), recipe...))
	dir := filepath.Join(cache, release+"-"+hex.EncodeToString(sum[:6]))
	k := Kernel{Release: release, Image: filepath.Join(dir, "vmlinuz")}
	for _, m := range packaged {
		k.Modules = append(k.Modules, filepath.Join(dir, filepath.Base(m)+".ko"))
	}
	k.Modules = append(k.Modules, filepath.Join(dir, "gpio-sim.ko"))
	if _, err := os.Stat(dir); err == nil {
		return k, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Kernel{}, fmt.Errorf("look into the cache: %w", err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return Kernel{}, fmt.Errorf("make the cache: %w", err)
	}
	work, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return Kernel{}, fmt.Errorf("make a build directory: %w", err)
	}
	defer os.RemoveAll(work)
	b := builder{ctx: ctx, work: work, release: release, abi: strings.TrimSuffix(release, "-amd64")}
	if err := b.build(); err != nil {
		return Kernel{}, fmt.Errorf("build the kernel modules: %w", err)
	}
	// The directory appears whole or not at all, also with two builders.
	if err := os.Rename(b.path("out"), dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return Kernel{}, fmt.Errorf("put the kernel into the cache: %w", err)
	}
	k.Built = true
	return k, nil
}

var dependsImage = regexp.MustCompile(`Depends: linux-image-(\S+-amd64)`)
var packageVersion = regexp.MustCompile(`(?m)^Version: (\S+)$`)

// findRelease asks the package lists which kernel the line's package means.
func findRelease(ctx context.Context) (release, version string, err error) {
	out, err := exec.CommandContext(ctx, "apt-cache", "show", "--no-all-versions", meta).CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("look up %s (apt-get update?): %w: %s", meta, err, out)
	}
	rel, ver := dependsImage.FindSubmatch(out), packageVersion.FindSubmatch(out)
	if rel == nil || ver == nil {
		return "", "", fmt.Errorf("look up %s: no image package among its dependencies", meta)
	}
	return string(rel[1]), string(ver[1]), nil
}

type builder struct {
	ctx     context.Context
	work    string
	release string // 6.12.117+deb12-amd64
	abi     string // 6.12.117+deb12
}

func (b *builder) path(elem ...string) string {
	return filepath.Join(append([]string{b.work}, elem...)...)
}

func (b *builder) run(dir, name string, args ...string) error {
	cmd := exec.CommandContext(b.ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

func (b *builder) build() error {
	for _, step := range []func() error{b.download, b.unpack, b.sources, b.module, b.collect} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) download() error {
	if err := os.MkdirAll(b.path("deb"), 0o777); err != nil {
		return err
	}
	return b.run(b.path("deb"), "apt-get", "download", "-q", "linux-image-"+b.release, "linux-headers-"+b.release,
		"linux-headers-"+b.abi+"-common", "linux-kbuild-"+b.abi, source)
}

// deb returns the downloaded file of a package.
func (b *builder) deb(name string) (string, error) {
	hits, err := filepath.Glob(b.path("deb", name+"_*.deb"))
	if err != nil || len(hits) != 1 {
		return "", fmt.Errorf("package %s: %d files: %w", name, len(hits), errors.Join(err, fs.ErrNotExist))
	}
	return hits[0], nil
}

func (b *builder) unpack() error {
	for _, name := range []string{"linux-headers-" + b.release, "linux-headers-" + b.abi + "-common", "linux-kbuild-" + b.abi} {
		file, err := b.deb(name)
		if err != nil {
			return err
		}
		if err := b.run(b.work, "dpkg-deb", "-x", file, b.path("root")); err != nil {
			return err
		}
	}
	file, err := b.deb("linux-image-" + b.release)
	if err != nil {
		return err
	}
	names := []string{"./boot/vmlinuz-" + b.release}
	for _, m := range packaged {
		names = append(names, "./lib/modules/"+b.release+"/kernel/"+m+".ko.xz")
	}
	return b.extract(file, names...)
}

// extract takes files out of a package without unpacking the rest.
func (b *builder) extract(deb string, names ...string) error {
	return b.pipe([]string{"dpkg-deb", "--fsys-tarfile", deb}, append([]string{"tar", "-x", "-C", b.path("root")}, names...))
}

// pipe runs one command into another.
func (b *builder) pipe(from, to []string) error {
	src := exec.CommandContext(b.ctx, from[0], from[1:]...)
	dst := exec.CommandContext(b.ctx, to[0], to[1:]...)
	out, err := src.StdoutPipe()
	if err != nil {
		return err
	}
	var msg bytes.Buffer
	dst.Stdin, dst.Stderr = out, &msg
	if err := src.Start(); err != nil {
		return err
	}
	dstErr := dst.Run()
	out.Close()    // tar stops at the last file asked for, the source must not block on
	_ = src.Wait() // the closed pipe: its error says nothing
	if dstErr != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(to, " "), dstErr, bytes.TrimSpace(msg.Bytes()))
	}
	return nil
}

// sources takes the two files out of the kernel's source: one pass over 150 MB
// of xz, ended at the second file.
func (b *builder) sources() error {
	file, err := b.deb(source)
	if err != nil {
		return err
	}
	tarball := "./usr/src/" + source + ".tar.xz"
	if err := b.extract(file, tarball); err != nil {
		return err
	}
	return b.run(b.work, "tar", "-x", "-C", b.path("root"), "-f", b.path("root", tarball), "-I", "xz -T0", "--occurrence=1",
		source+"/drivers/gpio/gpio-sim.c", source+"/kernel/irq/irq_sim.c")
}

func (b *builder) module() error {
	mod, headers := b.path("mod"), b.path("root/usr/src/linux-headers-"+b.release)
	if err := os.MkdirAll(mod, 0o755); err != nil {
		return err
	}
	sim, err := os.ReadFile(b.path("root", source, "drivers/gpio/gpio-sim.c"))
	if err != nil {
		return err
	}
	irq, err := os.ReadFile(b.path("root", source, "kernel/irq/irq_sim.c"))
	if err != nil {
		return err
	}
	// irq_to_desc is not exported to modules; generic_handle_irq does the same.
	irq = bytes.Replace(irq, []byte("handle_simple_irq(irq_to_desc(irqnum))"), []byte("generic_handle_irq(irqnum)"), 1)
	// The headers name their common part by its installed path, and a vmlinux
	// that is there makes the build look for pahole.
	if err := os.RemoveAll(filepath.Join(headers, "vmlinux")); err != nil {
		return err
	}
	for path, text := range map[string][]byte{
		filepath.Join(mod, "sim.c"):        sim,
		filepath.Join(mod, "irq_sim.c"):    irq,
		filepath.Join(mod, "Makefile"):     []byte(moduleMakefile),
		filepath.Join(headers, "Makefile"): []byte("include " + b.path("root/usr/src/linux-headers-"+b.abi+"-common/Makefile") + "\n"),
	} {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return b.run(mod, "make", "-j2", "-C", headers, "M="+mod, "modules")
}

// collect gathers what is kept.
func (b *builder) collect() error {
	out := b.path("out")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	moves := map[string]string{
		b.path("root/boot/vmlinuz-" + b.release): "vmlinuz",
		b.path("mod/gpio-sim.ko"):                "gpio-sim.ko",
	}
	for _, m := range packaged {
		file := b.path("root/lib/modules", b.release, "kernel", m+".ko")
		if err := b.run(b.work, "xz", "-d", file+".xz"); err != nil {
			return err
		}
		moves[file] = filepath.Base(file)
	}
	if err := b.run(b.work, "strip", "--strip-debug", b.path("mod/gpio-sim.ko")); err != nil {
		return err
	}
	for from, to := range moves {
		if err := os.Rename(from, filepath.Join(out, to)); err != nil {
			return err
		}
	}
	return nil
}
