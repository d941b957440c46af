// Package hostscript holds the PowerShell scripts that package winrm runs on
// hosts. They are fixed texts with a line of parameters, so that winrmtest can
// tell which one it was given, to the byte, and do what a Windows host would do.
//
// The scripts run on PowerShell 2.0 and later. They use the COM interface of the
// task scheduler: its cmdlets came with Windows 8.
package hostscript
