package winrmtest

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/wmi"
)

// osVersion is that of Windows Server 2022.
const osVersion = "10.0.20348"

// objects are the WMI objects of a host.
type objects struct {
	name string

	mu        sync.Mutex
	boot      time.Time
	services  []service
	processes map[int]process
	lastPID   int
}

type service struct {
	name, caption, mode, account, path string
	running                            bool
}

type process struct {
	line    string
	started time.Time
	end     func()
}

func newObjects(name string) *objects {
	return &objects{
		name: name, boot: time.Now().Add(-26 * time.Hour).Truncate(time.Second),
		processes: make(map[int]process), lastPID: 4000,
		services: []service{
			{"BITS", "Background Intelligent Transfer Service", "Manual", "LocalSystem", `C:\Windows\System32\svchost.exe -k netsvcs -p`, false},
			{"EventLog", "Windows Event Log", "Auto", `NT AUTHORITY\LocalService`, `C:\Windows\System32\svchost.exe -k LocalServiceNetworkRestricted -p`, true},
			{"LanmanServer", "Server", "Auto", "LocalSystem", `C:\Windows\system32\svchost.exe -k smbsvcs`, true},
			{"Spooler", "Print Spooler", "Auto", "LocalSystem", `C:\Windows\System32\spoolsv.exe`, true},
			{"W32Time", "Windows Time", "Manual", `NT AUTHORITY\LocalService`, `C:\Windows\system32\svchost.exe -k LocalService`, false},
			{"WinRM", "Windows Remote Management (WS-Management)", "Auto", `NT AUTHORITY\NetworkService`, `C:\Windows\System32\svchost.exe -k NetworkService -p`, true},
		},
	}
}

// list returns the objects of a class; ok is false when it does not exist.
func (o *objects) list(class string) (list []*wmi.Instance, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch strings.ToLower(class) {
	case "win32_operatingsystem", "cim_operatingsystem":
		return []*wmi.Instance{o.operatingSystem()}, true
	case "win32_computersystem":
		return []*wmi.Instance{o.computerSystem()}, true
	case "win32_service":
		for i := range o.services {
			list = append(list, o.services[i].instance(o.name))
		}
		return list, true
	case "win32_quickfixengineering":
		for _, id := range []string{"KB5008882", "KB5011497", "KB5010523"} {
			list = append(list, o.fix(id))
		}
		return list, true
	case "win32_process":
		for pid := range o.lastPID + 1 {
			if p, ok := o.processes[pid]; ok {
				list = append(list, p.instance(pid))
			}
		}
		return list, true
	}
	return nil, false
}

func (o *objects) operatingSystem() *wmi.Instance {
	return &wmi.Instance{Class: "Win32_OperatingSystem", Props: []wmi.Property{
		{Name: "BootDevice", Value: `\Device\HarddiskVolume1`},
		{Name: "BuildNumber", Value: "20348"},
		{Name: "Caption", Value: "Microsoft Windows Server 2022 Standard"},
		{Name: "CodeSet", Value: "1252"},
		{Name: "CountryCode", Value: "1"},
		{Name: "CSDVersion", Value: nil},
		{Name: "CSName", Value: o.name},
		{Name: "FreePhysicalMemory", Value: 2914560},
		{Name: "InstallDate", Value: o.boot.Add(-300 * 24 * time.Hour)},
		{Name: "LastBootUpTime", Value: o.boot},
		{Name: "LocalDateTime", Value: time.Now().Truncate(time.Second)},
		{Name: "MUILanguages", Value: []string{"en-US", "de-DE"}},
		{Name: "NumberOfUsers", Value: 2},
		{Name: "OSArchitecture", Value: "64-bit"},
		{Name: "Primary", Value: true},
		{Name: "SystemDirectory", Value: `C:\Windows\system32`},
		{Name: "TotalVisibleMemorySize", Value: 4193740},
		{Name: "Version", Value: osVersion},
	}}
}

func (o *objects) computerSystem() *wmi.Instance {
	return &wmi.Instance{Class: "Win32_ComputerSystem", Keys: []string{"Name"}, Props: []wmi.Property{
		{Name: "Domain", Value: "WORKGROUP"},
		{Name: "Manufacturer", Value: "winrmkit"},
		{Name: "Model", Value: "winrmtest"},
		{Name: "Name", Value: o.name},
		{Name: "NumberOfLogicalProcessors", Value: 2},
		{Name: "PartOfDomain", Value: false},
		{Name: "TotalPhysicalMemory", Value: 4294389760},
	}}
}

func (s *service) instance(host string) *wmi.Instance {
	state := "Stopped"
	if s.running {
		state = "Running"
	}
	return &wmi.Instance{Class: "Win32_Service", Keys: []string{"Name"}, Props: []wmi.Property{
		{Name: "AcceptStop", Value: s.running},
		{Name: "Caption", Value: s.caption},
		{Name: "Description", Value: nil},
		{Name: "DisplayName", Value: s.caption},
		{Name: "ExitCode", Value: 0},
		{Name: "Name", Value: s.name},
		{Name: "PathName", Value: s.path},
		{Name: "Started", Value: s.running},
		{Name: "StartMode", Value: s.mode},
		{Name: "StartName", Value: s.account},
		{Name: "State", Value: state},
		{Name: "Status", Value: "OK"},
		{Name: "SystemName", Value: host},
	}}
}

func (o *objects) fix(id string) *wmi.Instance {
	return &wmi.Instance{
		Class: "Win32_QuickFixEngineering", Keys: []string{"CSName", "Description", "HotFixID", "ServicePackInEffect"},
		Props: []wmi.Property{
			{Name: "Caption", Value: "http://support.microsoft.com/?kbid=" + strings.TrimPrefix(id, "KB")},
			{Name: "CSName", Value: o.name},
			{Name: "Description", Value: "Security Update"},
			{Name: "HotFixID", Value: id},
			{Name: "InstallDate", Value: nil},
			{Name: "InstalledBy", Value: `NT AUTHORITY\SYSTEM`},
			{Name: "InstalledOn", Value: "3/9/2022"},
			{Name: "ServicePackInEffect", Value: ""},
		},
	}
}

func (p process) instance(pid int) *wmi.Instance {
	name, _, _ := strings.Cut(p.line, " ")
	return &wmi.Instance{Class: "Win32_Process", Keys: []string{"Handle"}, Props: []wmi.Property{
		{Name: "CommandLine", Value: p.line},
		{Name: "CreationDate", Value: p.started},
		{Name: "Handle", Value: strconv.Itoa(pid)},
		{Name: "Name", Value: name},
		{Name: "ProcessId", Value: pid},
	}}
}

func (o *objects) addProcess(line string, end func()) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lastPID += 4
	o.processes[o.lastPID] = process{line: line, started: time.Now(), end: end}
	return o.lastPID
}

func (o *objects) removeProcess(pid int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.processes, pid)
}

func (o *objects) endProcess(pid any) {
	o.mu.Lock()
	p, ok := o.processes[pid.(int)]
	o.mu.Unlock()
	if ok {
		p.end()
	}
}

// switchService starts or stops a service; the result is that of WMI: 0 done,
// 10 runs already, 5 cannot be stopped because it does not run.
func (o *objects) switchService(name string, run bool) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.services {
		sv := &o.services[i]
		switch {
		case sv.name != name:
		case sv.running == run && run:
			return 10
		case sv.running == run:
			return 5
		default:
			sv.running = run
			return 0
		}
	}
	return 5
}

func (o *objects) reboot() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.boot = time.Now().Truncate(time.Second)
}
