package wsman_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/winrmkit/winrmkit/wsman"
)

// demoServer is a service of a few lines, made of the package's own codec. It
// knows one class with two instances.
func demoServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return
		}
		req, err := wsman.ReadEnvelope(wsman.NewDecoder(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		uri := wsman.URICIMv2 + "Win32_Service"
		answer := wsman.Header{Action: req.Action + "Response", To: wsman.AddressAnonymous, MessageID: wsman.NewUUID(), RelatesTo: req.MessageID}
		status := http.StatusOK
		var content func(*wsman.Encoder)
		switch {
		case req.Action == wsman.ActionEnumerate:
			content = func(e *wsman.Encoder) {
				e.Start("n:EnumerateResponse")
				e.Namespace("n", wsman.NSEnumeration)
				e.Empty("n:EnumerationContext")
				e.Start("w:Items")
				wsman.Object(uri, "Win32_Service", wsman.Row{"Name": "Spooler", "State": "Stopped"})(e)
				wsman.Object(uri, "Win32_Service", wsman.Row{"Name": "WinRM", "State": "Running"})(e)
				e.End()
				e.Empty("w:EndOfSequence")
				e.End()
			}
		case req.Action == uri+"/StartService":
			content = wsman.Object(uri, "StartService_OUTPUT", wsman.Row{"ReturnValue": 10})
		default:
			f := &wsman.Fault{
				Code: wsman.ErrSetByPolicy, Sender: true, Subcode: wsman.Name{Space: wsman.NSWSMan, Local: "InvalidParameter"},
				Message: "Cannot be changed.",
			}
			answer.Action, status, content = f.MessageAction(), http.StatusInternalServerError, f.Encode
		}
		e := wsman.NewEncoder(nil)
		wsman.WriteEnvelope(e, &answer, content)
		w.Header().Set("Content-Type", wsman.ContentType)
		w.WriteHeader(status)
		_, _ = w.Write(e.Bytes())
	}))
}

func demoClient() (*wsman.Client, func()) {
	srv := demoServer()
	c, err := wsman.NewClient(srv.URL+"/wsman", &wsman.Config{HTTPClient: srv.Client()})
	if err != nil {
		log.Fatal(err)
	}
	return c, srv.Close
}

func ExampleQuery() {
	c, stop := demoClient()
	defer stop()

	type Service struct{ Name, State string }
	for svc, err := range wsman.Query[Service](context.Background(), c, "root/cimv2", "select Name, State from Win32_Service") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(svc.Name, svc.State)
	}
	// Output:
	// Spooler Stopped
	// WinRM Running
}

func ExampleClient_Invoke() {
	c, stop := demoClient()
	defer stop()

	service := wsman.Resource{
		URI:       wsman.URICIMv2 + "Win32_Service",
		Selectors: []wsman.Selector{{Name: "Name", Value: "WinRM"}},
	}
	var out struct{ ReturnValue uint32 }
	if err := c.Invoke(context.Background(), service, "StartService", nil, &out); err != nil {
		log.Fatal(err)
	}
	fmt.Println("StartService returned", out.ReturnValue) // 10: runs already
	// Output: StartService returned 10
}

func ExampleFault() {
	c, stop := demoClient()
	defer stop()

	auth := wsman.Resource{URI: wsman.URIConfig + "/service/auth"}
	err := c.Put(context.Background(), auth, wsman.Object(auth.URI, "Auth", wsman.Row{"Basic": true}), nil)
	if errors.Is(err, wsman.ErrSetByPolicy) {
		fmt.Println(err)
	}
	if fault, ok := errors.AsType[*wsman.Fault](err); ok {
		fmt.Println(fault.Subcode.Local, fault.Code.Symbol(), fault.Code.Retry())
	}
	// Output:
	// wsman: Put refused: group policy sets this value, so it cannot be changed here (ERROR_WSMAN_CONFIG_CANNOT_CHANGE_GPO_CONTROLLED_SETTING, 0x8033808A); change the policy, or leave this item out of the change: server says: Cannot be changed.
	// InvalidParameter ERROR_WSMAN_CONFIG_CANNOT_CHANGE_GPO_CONTROLLED_SETTING never
}

func ExampleDecoder() {
	d := wsman.NewDecoder([]byte(`<rsp:CommandResponse xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"><rsp:CommandId>77DF7BB6</rsp:CommandId></rsp:CommandResponse>`))
	if _, err := d.Root(); err != nil {
		log.Fatal(err)
	}
	for name := range d.Children() {
		if name == (wsman.Name{Space: wsman.NSShell, Local: "CommandId"}) {
			id, _ := d.Value()
			fmt.Println(id)
		}
	}
	fmt.Println(d.Finish())
	// Output:
	// 77DF7BB6
	// <nil>
}
