package winrmtest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/winrmkit/winrmkit/winrm/winrmtest/internal/soap"
	"github.com/winrmkit/winrmkit/wsman"
)

// deliveryPull is the delivery mode in which the client pulls.
const deliveryPull = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Pull"

// maxEvents is how many events the log keeps.
const maxEvents = 10000

// An Event is one entry of the small event log that subscriptions read.
type Event struct {
	Channel  string // "System", "Application", ...
	Provider string
	ID       int
	Message  string
	Time     time.Time // zero: the time when it was logged
}

type loggedEvent struct {
	Event
	record uint64
}

// eventLog is the log with those who wait for it.
type eventLog struct {
	mu      sync.Mutex
	events  []loggedEvent
	last    uint64
	changed chan struct{}
}

func newEventLog() *eventLog { return &eventLog{changed: make(chan struct{})} }

// LogEvent appends to the event log of the host.
func (s *Server) LogEvent(ev Event) {
	l := s.events
	l.mu.Lock()
	defer l.mu.Unlock()
	if ev.Time.IsZero() {
		ev.Time = time.Now()
	}
	l.last++
	if len(l.events) == maxEvents {
		l.events = l.events[1:]
	}
	l.events = append(l.events, loggedEvent{Event: ev, record: l.last})
	close(l.changed)
	l.changed = make(chan struct{})
}

// after returns events behind a record number, and what closes when there are
// more.
func (l *eventLog) after(record uint64, channels []string, most int) ([]loggedEvent, uint64, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []loggedEvent
	for _, ev := range l.events {
		if ev.record <= record {
			continue
		}
		if len(list) == most {
			break
		}
		record = ev.record
		for _, ch := range channels {
			if strings.EqualFold(ch, ev.Channel) {
				list = append(list, ev)
				break
			}
		}
	}
	return list, record, l.changed
}

// A subscription is what a Subscribe has asked for.
type subscription struct {
	id       string
	channels []string
	record   uint64 // the last one delivered
	bookmark bool
}

// subscribe is Subscribe with pull delivery.
func (s *Server) subscribe(c *call) *soap.Fault {
	sub := &subscription{id: soap.NewUUID()}
	mode, filtered := "", false
	err := c.req.Body(func(d *wsman.Decoder) {
		for range d.Children() {
			for child := range d.Children() {
				switch child.Local {
				case "Delivery":
					mode, _ = d.Attr("", "Mode")
				case "Filter":
					filtered = true
					sub.channels = readQueryList(d)
				case "SendBookmarks":
					sub.bookmark = true
				case "Bookmark":
					sub.record = readBookmark(d)
				}
			}
		}
	})
	switch {
	case err != nil:
		return soap.Malformed(err)
	case mode != deliveryPull:
		return soap.New(soap.NonPullSubscription, "")
	case !filtered || len(sub.channels) == 0:
		return soap.New(soap.CannotProcessFilter, "A subscription to the event log needs a QueryList that selects channels.")
	}
	if !c.req.OptionTrue("ReadExistingEvents") && sub.record == 0 {
		s.events.mu.Lock()
		sub.record = s.events.last
		s.events.mu.Unlock()
	}
	context := s.keep(&enumeration{owner: c.user, feed: sub})
	c.out.Start("e:SubscribeResponse")
	c.out.Start("e:SubscriptionManager")
	soap.Reference(c.out, s.URL, wsman.URIEventLog, nil)
	c.out.End()
	c.out.Element("e:Expires", "PT3600.000S")
	c.out.Element("n:EnumerationContext", context)
	c.out.Element("e:Identifier", "uuid:"+sub.id)
	c.out.End()
	return nil
}

// readQueryList collects the channels of Query and Select elements.
func readQueryList(d *wsman.Decoder) (channels []string) {
	for child := range d.Children() {
		if path, ok := d.Attr("", "Path"); ok && path != "" {
			channels = append(channels, path)
		}
		if child.Local != "Select" {
			channels = append(channels, readQueryList(d)...)
		}
	}
	return channels
}

func readBookmark(d *wsman.Decoder) (record uint64) {
	for child := range d.Children() {
		if text, ok := d.Attr("", "RecordId"); ok {
			record, _ = strconv.ParseUint(text, 10, 64)
		}
		if child.Local != "Bookmark" {
			record = max(record, readBookmark(d))
		}
	}
	return record
}

// pullEvents is Pull of a subscription: it is held until there is an event.
func (s *Server) pullEvents(c *call, en *enumeration, context string, most int) *soap.Fault {
	ctx, stop := c.hold()
	defer stop()
	sub := en.feed
	for {
		list, record, changed := s.events.after(sub.record, sub.channels, orDefault(most, 20))
		if len(list) > 0 {
			sub.record = record
			s.encodeEvents(c, en, list)
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			s.restore(context, en) // the context stays good: the client pulls again
			return soap.New(soap.OperationTimedOut, "")
		}
	}
}

// restore puts an enumeration back under the context that it had.
func (s *Server) restore(id string, en *enumeration) {
	en.used = time.Now()
	s.enums.mu.Lock()
	defer s.enums.mu.Unlock()
	s.enums.byID[strings.TrimSpace(id)] = en
	s.countEnumerations()
}

func (s *Server) encodeEvents(c *call, en *enumeration, list []loggedEvent) {
	c.out.Start("n:PullResponse")
	c.out.Element("n:EnumerationContext", s.keep(en))
	c.out.Start("n:Items")
	for _, ev := range list {
		c.out.Start("w:Event")
		c.out.Attr("Action", "http://schemas.dmtf.org/wbem/wsman/1/wsman/Event")
		c.out.Text(ev.xml(s.Name))
		c.out.End()
	}
	c.out.End()
	if en.feed.bookmark {
		c.out.Start("w:Bookmark")
		c.out.Start("BookmarkList")
		c.out.Namespace("", "")
		c.out.Start("Bookmark")
		c.out.Attr("Channel", list[len(list)-1].Channel)
		c.out.Attr("RecordId", strconv.FormatUint(en.feed.record, 10))
		c.out.Attr("IsCurrent", "true")
		c.out.End()
		c.out.End()
		c.out.End()
	}
	c.out.End()
}

// xml is the event as the event log renders it; in w:Event it is text.
func (ev *loggedEvent) xml(host string) string {
	e := wsman.NewEncoder(nil)
	e.Start("Event")
	e.Namespace("", "http://schemas.microsoft.com/win/2004/08/events/event")
	e.Start("System")
	e.Start("Provider")
	e.Attr("Name", ev.Provider)
	e.End()
	e.Element("EventID", strconv.Itoa(ev.ID))
	e.Start("TimeCreated")
	e.Attr("SystemTime", ev.Time.UTC().Format("2006-01-02T15:04:05.000000000Z"))
	e.End()
	e.Element("EventRecordID", fmt.Sprint(ev.record))
	e.Element("Channel", ev.Channel)
	e.Element("Computer", host)
	e.End()
	e.Start("EventData")
	e.Element("Data", ev.Message)
	e.End()
	e.End()
	return string(e.Bytes())
}

// unsubscribe is Unsubscribe: it names the subscription by the identifier in
// its header; a pull subscription may be ended by Release as well.
func (s *Server) unsubscribe(c *call) *soap.Fault {
	if err := c.req.Body(func(d *wsman.Decoder) {
		for range d.Children() {
			continue
		}
	}); err != nil {
		return soap.Malformed(err)
	}
	s.enums.mu.Lock()
	defer s.enums.mu.Unlock()
	for id, en := range s.enums.byID {
		if en.feed != nil && strings.EqualFold(en.owner, c.user) &&
			(c.req.Identifier == "" || strings.EqualFold(c.req.Identifier, "uuid:"+en.feed.id)) {
			delete(s.enums.byID, id)
		}
	}
	s.countEnumerations()
	return nil
}
