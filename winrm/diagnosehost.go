package winrm

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/winrmkit/winrmkit/internal/hostscript"
	"github.com/winrmkit/winrmkit/wsman"
	"github.com/winrmkit/winrmkit/wsman/config"
)

func tlsVersion(v uint16) string { return tls.VersionName(v) }
func tlsSuite(s uint16) string   { return tls.CipherSuiteName(s) }

// logon tries the credentials, once.
func (d *doctor) logon(ctx context.Context) (finding, error) {
	var err error
	if d.client, err = d.open(d.cfg.Auth, d.cfg.Encryption); err != nil {
		return finding{}, err
	}
	id, err := d.client.WSMan().Identify(ctx)
	if err != nil {
		return finding{}, err
	}
	f := saw("%s", id.ProductVersion)
	if l := d.seen.logon; l != nil {
		chosen := ""
		if l.Chosen != "" {
			chosen = ", " + l.Chosen + " inside"
		}
		f.evidence = append(f.evidence, fmt.Sprintf("%s%s, as %s, %d requests", l.Mechanism, chosen, l.Account, l.Legs))
	}
	return f, nil
}

// maxSkew is what Kerberos forgives: [MS-KILE] section 3.1.1.5 and RFC 4120
// section 7.5.
const maxSkew = 5 * time.Minute

// clock compares the clocks. That is told to administrators only.
func (d *doctor) clock(ctx context.Context) (finding, error) {
	var os struct{ LocalDateTime time.Time }
	began := time.Now()
	if err := d.client.WSMan().Get(ctx, wsman.Resource{URI: wsman.URICIMv2 + "Win32_OperatingSystem"}, &os); err != nil || os.LocalDateTime.IsZero() {
		return finding{skipped: true, evidence: []string{"the host does not tell its time to this account"}}, ctx.Err()
	}
	skew := os.LocalDateTime.Sub(began.Add(time.Since(began) / 2)).Round(time.Second)
	f := saw("the host's clock differs by %s", skew)
	if skew.Abs() > maxSkew {
		f.causes = []Cause{{
			ID: "clock", Text: fmt.Sprintf("the clocks differ by %s; Kerberos forgives 5 minutes", skew), Certain: true,
			Check: "w32tm /query /status", Remedy: "w32tm /resync",
		}}
	}
	return f, nil
}

func (d *doctor) authorization(ctx context.Context) (finding, error) {
	s, err := config.GetService(ctx, d.client.WSMan())
	if unknownResource(err) {
		return noConfiguration, nil
	}
	if err != nil {
		return finding{}, err
	}
	return saw("may read the configuration; RootSDDL %s", s.RootSDDL.V), nil
}

// A listener that is not Windows' may have shells and no configuration: that says
// nothing of rights.
var noConfiguration = finding{skipped: true, evidence: []string{"the host knows no WinRM configuration: it may not be Windows"}}

func unknownResource(err error) bool {
	code := faultCode(err)
	return code == wsman.ErrResourceNotFound || code == wsman.ErrInvalidResourceURI || code == wsman.ErrActionNotSupported
}

func (d *doctor) shell(ctx context.Context) (finding, error) {
	out, code, err := d.output(ctx, "hostname")
	if err != nil {
		return finding{}, err
	}
	return saw("hostname says %s, exit code %s", firstLine(out), formatCode(code)), nil
}

// quota compares the shells that the account has with what it may have.
func (d *doctor) quota(ctx context.Context) (finding, error) {
	w, err := config.GetWinrs(ctx, d.client.WSMan())
	if unknownResource(err) {
		return noConfiguration, nil
	}
	if err != nil {
		return finding{}, err
	}
	open := 0
	for item, err := range d.client.WSMan().Enumerate(ctx, wsman.Resource{URI: wsman.URIShell}, nil) {
		if err != nil {
			return finding{skipped: true, evidence: []string{"the host does not list shells to this account"}}, ctx.Err()
		}
		if item.Object != nil {
			open++
		}
	}
	f := saw("%d shells open, %d allowed for each account", open, w.MaxShellsPerUser.V)
	if limit := int(w.MaxShellsPerUser.V); limit > 0 && open*5 >= limit*4 {
		f.causes = []Cause{{
			ID: "quota-near", Text: fmt.Sprintf("%d of %d shells are in use", open, limit), Check: "winrm enumerate shell",
			Remedy: `end old ones, or Set-Item WSMan:\localhost\Shell\MaxShellsPerUser 30`,
		}}
	}
	return f, nil
}

// output runs a program on the host. A program that says no is no error.
func (d *doctor) output(ctx context.Context, name string, args ...string) (string, uint32, error) {
	cmd := d.client.CommandContext(ctx, name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit, ok := errors.AsType[*ExitError](err); ok {
		return strings.TrimSpace(out.String()), exit.Code, nil
	}
	return strings.TrimSpace(out.String()), 0, err
}

// missing is a warning: the host does not have what a check needs.
func missing(f finding, program, remedy string) finding {
	f.causes = []Cause{{
		ID: "tool-missing", Text: "this cannot be checked: the host does not have " + program, Certain: true,
		Check: "Get-Command " + program, Remedy: remedy,
	}}
	return f
}

// secureChannel follows the list for hosts whose domain does not answer them.
func (d *doctor) secureChannel(ctx context.Context) (finding, error) {
	domain, code, err := d.output(ctx, "nltest", "/parentdomain")
	if err != nil {
		return finding{}, err
	}
	f := saw("nltest /parentdomain: %s", firstLine(domain))
	if code != 0 && !strings.Contains(domain, "0x") { // nltest tells codes in every language
		return missing(f, "nltest.exe", "Install-WindowsFeature RSAT-AD-Tools; a container needs Server Core"), nil
	}
	if strings.Contains(domain, "1722") { // RPC_S_SERVER_UNAVAILABLE
		f.failed = true
		f.causes = []Cause{{
			ID: "domain-unreachable", Text: d.host() + " finds no domain controller, or has no identity in the domain", Certain: true,
			Check:  "nltest /dsgetdc:<domain>; in a container: is the credential spec there?",
			Remedy: "repair DNS on the host: it must ask the domain's name servers; a container needs --security-opt credentialspec=file://<spec>.json",
		}}
		return f, nil
	}
	state, _, err := d.output(ctx, "nltest", "/query")
	if err != nil {
		return f, err
	}
	f.evidence = append(f.evidence, "nltest /query: "+firstLine(state))
	switch {
	case strings.Contains(state, "0x5 "): // ERROR_ACCESS_DENIED
		f.causes = []Cause{{
			ID: "secure-channel-hidden", Text: "the account may not ask for the state of the secure channel", Certain: true,
			Check: "nltest /query on the host", Remedy: "use an administrator's account",
		}}
	case !strings.Contains(state, "0x0"):
		f.failed = true
		f.causes = []Cause{{
			ID: "secure-channel", Text: "the secure channel of " + d.host() + " to its domain is broken", Certain: true,
			Check: "nltest /query", Remedy: "nltest /sc_reset:<domain>; else Restart-Service netlogon until nltest /query says 0x0 NERR_Success",
		}}
	}
	return f, nil
}

// testAccount asks about a managed account. The drive of the directory, which the
// module would make first, takes time and gives a warning where the question
// itself is still answered.
const testAccount = "param($Name)\n$env:ADPS_LoadDefaultDrive='0'\nTest-ADServiceAccount -Identity $Name"

// managedAccount asks the host whether it can use a gMSA.
func (d *doctor) managedAccount(ctx context.Context) (finding, error) {
	cmd := d.client.PowerShell(ctx, testAccount)
	cmd.Script.Args, cmd.Script.ErrorAction = map[string]string{"Name": d.ManagedAccount}, "Stop"
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	usable, err := RunJSON[bool](cmd)
	thrown, told := errors.AsType[*ScriptError](err)
	_, exited := errors.AsType[*ExitError](err)
	var f finding
	switch {
	case err == nil && usable:
		return saw("Test-ADServiceAccount: True"), nil
	case err == nil:
		f = saw("Test-ADServiceAccount: False")
		f.failed = true
		f.causes = []Cause{{
			ID: "managed-account", Text: d.host() + " cannot use the group managed service account " + d.ManagedAccount,
			Check:  "Get-ADServiceAccount " + d.ManagedAccount + " -Properties PrincipalsAllowedToRetrieveManagedPassword",
			Remedy: "Set-ADServiceAccount " + d.ManagedAccount + " -PrincipalsAllowedToRetrieveManagedPassword <group of hosts>; klist purge -li 0x3e7 on the host",
		}}
		return f, nil
	case told && thrown.Record.ID == "CommandNotFoundException":
		f = saw("Test-ADServiceAccount: %s", firstLine(thrown.Record.Message))
		return missing(f, "Test-ADServiceAccount", "Install-WindowsFeature RSAT-AD-PowerShell, or ask on a host that has it"), nil
	case told && strings.Contains(thrown.Record.ID, "ADIdentityNotFoundException"):
		f = saw("Test-ADServiceAccount: %s", firstLine(thrown.Record.Message))
		f.failed = true
		f.causes = []Cause{{
			ID: "managed-account-missing", Text: "the domain has no managed service account " + d.ManagedAccount, Certain: true,
			Check: "Get-ADServiceAccount -Filter *", Remedy: "name one that is there; New-ADServiceAccount makes one",
		}}
		return f, nil
	case told:
		f = saw("Test-ADServiceAccount: %s", firstLine(thrown.Record.Message))
	case exited: // in constrained language mode it cannot tell more
		f = saw("Test-ADServiceAccount: %s", firstLine(strings.TrimSpace(stderr.String())))
	default:
		return f, err
	}
	f.causes = []Cause{{
		ID: "managed-account-unknown", Text: d.host() + " could not ask a domain controller about " + d.ManagedAccount + ": the logon may not reach that far",
		Check:  "Test-ADServiceAccount " + d.ManagedAccount + " at the host itself",
		Remedy: "log on by CredSSP, or by Kerberos with delegation; the domain controller needs Active Directory Web Services",
	}}
	return f, nil
}

// secondHop lists the shares of another host from this one.
func (d *doctor) secondHop(ctx context.Context) (finding, error) {
	if !hostscript.ValidName(d.SecondHop) {
		return finding{}, fmt.Errorf("winrm: %q is no host", d.SecondHop)
	}
	out, code, err := d.output(ctx, "net", "view", `\\`+d.SecondHop)
	if err != nil {
		return finding{}, err
	}
	f := saw(`net view \\%s: %s`, d.SecondHop, firstLine(out))
	if code == 0 {
		return f, nil
	}
	f.failed = true
	if f.causes = d.client.ExplainOutput(out + "\n"); len(f.causes) == 0 {
		f.causes = []Cause{{
			ID: "second-hop-unreachable", Text: "the host does not reach " + d.SecondHop, Check: "Test-NetConnection " + d.SecondHop + " -Port 445",
			Remedy: "repair name, network or firewall between the two",
		}}
	}
	return f, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return strings.TrimSpace(line)
}
