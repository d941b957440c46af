// Package wsman speaks WS-Management, the SOAP protocol of WinRM, over any
// HTTP client.
package wsman
