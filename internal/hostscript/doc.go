// Package hostscript holds the PowerShell scripts that package winrm runs on
// hosts. They are fixed texts with a line of parameters, so that winrmtest can
// tell which one it was given, to the byte, and do what a Windows host would do.
//
// The scripts run on PowerShell 2.0 and later. They use the COM interface of the
// task scheduler: its cmdlets came with Windows 8. They change the configuration
// by WinRM's COM interface and not on the WSMan: drive: that writes back all of
// Service\Auth for one setting in it, which a host where group policy owns
// another one of them may refuse, and shows no SourceOfValue in PowerShell 2.0.
//
// What a script relies on besides:
//
//   - Dates and numbers are written without the culture of the account.
//   - foreach goes over @(...): PowerShell 2.0 runs it once for nothing at all.
//   - Only tasks that run as SYSTEM are leases: other users can make tasks, too.
//   - The policy's list is written over from its beginning, so that a script
//     that is ended in the middle loses no name.
package hostscript
