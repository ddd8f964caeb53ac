package core

import (
	"net/netip"
	"slices"
)

// Empty connection IDs
//
// An Endpoint whose own connection IDs are empty finds the connection of a packet by the address that the packet came
// from. It serves no clients: their addresses change and can be spoofed. The addresses of servers do not change, except
// for preferred ones, which the client knows. There is at most one connection to each address.
//
// "An endpoint MUST NOT use the same IP address and port for multiple concurrent connections with zero-length connection
// IDs, unless it is certain that those protocol features are not in use."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1-8
//
// These are "peer connection migration, NAT rebinding, and client port reuse".
//
// The first address of a connection is its key in Endpoint.initials, with an empty connection ID. Endpoint.remotes has
// others.

// setInitial and deleteInitial make all changes of Endpoint.initials, so that the driver knows those that concern
// packets with a short header.
func (e *Endpoint) setInitial(key initialKey, entry idEntry) {
	e.initials.set(key, entry)
	e.reportRemote(key, entry.ref)
}

func (e *Endpoint) deleteInitial(key initialKey) {
	e.initials.delete(key)
	e.reportRemote(key, 0)
}

func (e *Endpoint) reportRemote(key initialKey, ref ConnRef) {
	if key.id.Len() == 0 && e.cfg.SetRemote != nil {
		e.cfg.SetRemote(key.remote, ref)
	}
}

// RemoteOwner returns the connection to which packets from an address belong because connection IDs are empty, or 0.
func (e *Endpoint) RemoteOwner(remote netip.AddrPort) ConnRef {
	entry, _ := e.initials.get(initialKey{remote: remote})
	return entry.ref
}

// addRemote routes the packets from an address to a connection with empty IDs. It returns false if they belong to another
// connection. A remnant gives way.
func (e *Endpoint) addRemote(c *connEntry, remote netip.AddrPort) bool {
	key := initialKey{remote: remote}
	if old, ok := e.initials.get(key); ok {
		if old.remnant == nil {
			return old.ref == c.ref
		}
		old.remnant.hasInitial = false
	}
	e.setInitial(key, idEntry{ref: c.ref})
	if !c.hasInitial {
		c.initial, c.hasInitial = key, true
		return true
	}
	if e.remotes == nil {
		e.remotes = make(map[ConnRef][]netip.AddrPort)
	}
	e.remotes[c.ref] = append(e.remotes[c.ref], remote)
	return true
}

// removeRemote undoes addRemote for one address.
func (e *Endpoint) removeRemote(c *connEntry, remote netip.AddrPort) {
	further := e.remotes[c.ref]
	i := slices.Index(further, remote)
	switch {
	case i >= 0:
		further = slices.Delete(further, i, i+1)
	case !c.hasInitial || c.initial.remote != remote:
		return
	case len(further) > 0:
		c.initial.remote, further = further[0], further[1:]
	default:
		c.hasInitial = false
	}
	e.deleteInitial(initialKey{remote: remote})
	e.setFurther(c.ref, further)
}

// removeRemotes removes the further addresses of a connection. Its remnant keeps the first.
func (e *Endpoint) removeRemotes(c *connEntry) {
	for _, remote := range e.remotes[c.ref] {
		e.deleteInitial(initialKey{remote: remote})
	}
	e.setFurther(c.ref, nil)
}

func (e *Endpoint) setFurther(ref ConnRef, further []netip.AddrPort) {
	if len(further) == 0 {
		delete(e.remotes, ref)
	} else {
		e.remotes[ref] = further
	}
}
