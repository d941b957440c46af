// Wincp copies files to and from a Windows host, as scp does. Paths on the host
// begin with a colon:
//
//	wincp -r srv1 -u CORP\anna setup.msi ':C:\Temp\'
//	wincp -r srv1 -u CORP\anna -R ./site ':C:\inetpub\wwwroot'
//	wincp -r srv1 -u CORP\anna ':C:\Windows\System32\drivers\etc\hosts' .
//	mysqldump db | wincp -r srv1 -u CORP\anna - ':C:\Backup\db.sql'
//
// A relative path on the host, and none at all, begin in the user's profile. A copy that
// loses its connection, because the host restarts for example, goes on by itself; -retries
// says for how long. What was interrupted for good, even by the end of the process, goes
// on where it was when the same command is given again. Large files go over several
// streams at once, which a link with a long delay needs. Every file is verified by its
// SHA-256. On a terminal a line shows how far the copy is; otherwise there is a line a
// file. "-" is the standard input or output.
//
// Without -r the host is a demo inside this process, which forgets its files at
// the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/winrmkit/winrmkit/examples/internal/target"
	"github.com/winrmkit/winrmkit/winrm"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var where target.Flags
	set := flag.NewFlagSet("wincp", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		fmt.Fprint(stderr, "usage: wincp [flags] source... target\n\nPaths on the host begin with a colon, such as ':C:\\Temp\\'; - is the standard input or output.\n\n")
		set.PrintDefaults()
	}
	where.Register(set)
	c := &copier{stdin: stdin, stdout: stdout}
	set.BoolVar(&c.recursive, "R", false, "copy directories with all that they contain")
	set.BoolVar(&c.opt.NoResume, "anew", false, "begin anew what was interrupted")
	set.BoolVar(&c.opt.NoCompression, "plain", false, "send nothing compressed")
	set.IntVar(&c.opt.Streams, "streams", winrm.DefaultStreams, "over how many streams at once a large file goes")
	set.IntVar(&c.opt.Retries, "retries", winrm.DefaultRetries, "how often in a row a lost connection is made again: 5 take a minute, 20 ten minutes")
	set.BoolVar(&c.opt.NoTimes, "notimes", false, "do not keep times and the read-only attribute")
	quiet := set.Bool("q", false, "show no progress")
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case set.NArg() < 2:
		set.Usage()
		return 2
	case c.opt.Retries < 0:
		fmt.Fprintf(stderr, "wincp: -retries %d: 0 is none\n", c.opt.Retries)
		return 2
	case c.opt.Streams < 0:
		fmt.Fprintf(stderr, "wincp: -streams %d: there have to be some (0: as many as usual)\n", c.opt.Streams)
		return 2
	}
	if c.opt.Retries == 0 {
		c.opt.Retries = -1
	}
	sources, dst := set.Args()[:set.NArg()-1], set.Arg(set.NArg()-1)
	if err := check(sources, dst); err != nil {
		fmt.Fprintln(stderr, "wincp:", err)
		return 2
	}
	host, err := where.Host("wincp", stderr)
	if err != nil {
		fmt.Fprintln(stderr, "wincp:", err)
		return 2
	}
	defer host.Close()
	c.client, err = winrm.New(host.Endpoint, host.Config)
	if err != nil {
		fmt.Fprintln(stderr, "wincp:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if !*quiet {
		c.meter = newMeter(stderr)
		c.opt.Progress = c.meter.show
	}
	err = c.all(ctx, sources, dst)
	c.meter.end()
	if closing := c.client.Close(); err == nil {
		err = closing
	}
	switch {
	case err != nil && ctx.Err() != nil:
		again := "the same command goes on from here"
		if c.opt.NoResume {
			again = "without -anew the same command goes on from here"
		}
		fmt.Fprintln(stderr, "wincp: interrupted;", again)
		return 1
	case err != nil:
		target.Tell(stderr, "wincp", err, nil)
		return 1
	}
	return 0
}

// check finds out before anything is dialled what can be no copy.
func check(sources []string, dst string) error {
	for _, p := range append(sources[:len(sources):len(sources)], dst) {
		if len(p) > 1 && p[0] == '-' {
			return fmt.Errorf("%s: flags come before the files (a file of this name is ./%s)", p, p)
		}
	}
	to, up := remote(dst)
	for _, src := range sources {
		if src == "-" && up && (to == "" || endsWithSeparator(to)) {
			return fmt.Errorf("%s: the standard input has no name: the target needs one", dst)
		}
		if _, down := remote(src); up == down {
			return fmt.Errorf("one of %s and %s has to be on the host and begin with a colon", src, dst)
		}
	}
	return nil
}

// A copier does what the command line says.
type copier struct {
	client    *winrm.Client
	recursive bool
	opt       winrm.CopyOptions
	meter     *meter
	stdin     io.Reader
	stdout    io.Writer
}

// remote reports whether a path is on the host, and takes the colon off.
func remote(p string) (string, bool) { return strings.CutPrefix(p, ":") }

// orHome is the path, or the user's profile if there is none, as with scp.
func orHome(p string) string {
	if p == "" {
		return "."
	}
	return p
}

func (c *copier) all(ctx context.Context, sources []string, dst string) error {
	to, up := remote(dst)
	for _, src := range sources {
		from, _ := remote(src)
		var err error
		if up {
			err = c.up(ctx, src, orHome(to), len(sources) > 1)
		} else {
			err = c.down(ctx, orHome(from), dst, len(sources) > 1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// up copies to the host.
func (c *copier) up(ctx context.Context, src, dst string, several bool) error {
	opt := c.opt
	if src == "-" {
		opt.Source = c.stdin
		_, err := c.client.Upload(ctx, "standard input", dst, &opt)
		return err
	}
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	if c.isRemoteDir(ctx, dst) || several && !endsWithSeparator(dst) {
		dst = strings.TrimRight(dst, `\/`) + `\`
	}
	if !info.IsDir() {
		_, err := c.client.Upload(ctx, src, dst, &opt)
		return err
	}
	if !c.recursive {
		return fmt.Errorf("%s is a directory: -R copies those", src)
	}
	if endsWithSeparator(dst) {
		abs, err := filepath.Abs(src)
		if err != nil {
			return err
		}
		dst += filepath.Base(abs)
	}
	return c.client.CopyFS(ctx, dst, os.DirFS(src), &opt)
}

func endsWithSeparator(p string) bool { return strings.HasSuffix(p, `\`) || strings.HasSuffix(p, "/") }

func (c *copier) isRemoteDir(ctx context.Context, p string) bool {
	if endsWithSeparator(p) {
		return true
	}
	info, err := c.client.Stat(ctx, p)
	return err == nil && info.IsDir()
}

// down copies from the host.
func (c *copier) down(ctx context.Context, src, dst string, several bool) error {
	opt := c.opt
	if dst == "-" {
		opt.Target = c.stdout
		_, err := c.client.Download(ctx, src, "", &opt)
		return err
	}
	name := src[strings.LastIndexAny(strings.TrimRight(src, `\/`), `\/:`)+1:]
	name = strings.TrimRight(name, `\/`)
	if info, err := os.Stat(dst); several || err == nil && info.IsDir() || os.IsPathSeparator(dst[len(dst)-1]) {
		dst = filepath.Join(dst, name)
	}
	info, err := c.client.Stat(ctx, src)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		_, err := c.client.Download(ctx, src, dst, &opt)
		return err
	}
	if !c.recursive {
		return fmt.Errorf("%s is a directory: -R copies those", src)
	}
	root := strings.TrimRight(src, `\/`)
	return fs.WalkDir(c.client.FS(ctx, src), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		here := filepath.Join(dst, filepath.FromSlash(p))
		switch {
		case d.IsDir():
			return os.MkdirAll(here, 0o777)
		case !d.Type().IsRegular():
			return fmt.Errorf("%s leads elsewhere: it is not copied", p)
		}
		_, err = c.client.Download(ctx, root+`\`+strings.ReplaceAll(p, "/", `\`), here, &opt)
		return err
	})
}
