package adminapi

import (
	"time"

	"sallyport/enroll"
	"sallyport/internal/refusal"
	"sallyport/internal/server/wire"
	"sallyport/mdm"
)

// ActionRequest orders an act upon a device.
type ActionRequest struct {
	Kind        string `json:"kind"`
	Confirm     string `json:"confirm,omitempty"`      // the device's name, for what cannot be undone
	Message     string `json:"message,omitempty"`      // lock
	PhoneNumber string `json:"phone_number,omitempty"` // lock
	Name        string `json:"name,omitempty"`         // rename
	Query       string `json:"query,omitempty"`        // query: Apple's RequestType
	Raw         string `json:"raw,omitempty"`          // command: its Command dictionary as an XML property list
	Force       bool   `json:"force,omitempty"`        // retire: end the enrolment now, whether the phone comes or not
	DryRun      bool   `json:"dry_run,omitempty"`      // say what would happen and do nothing
}

// Action is an act upon a device and what became of it.
type Action struct {
	ID           string    `json:"id"`
	EnrollmentID string    `json:"enrollment_id"`
	Kind         string    `json:"kind"`
	State        string    `json:"state"`
	Message      string    `json:"message,omitempty"`
	PhoneNumber  string    `json:"phone_number,omitempty"`
	Name         string    `json:"name,omitempty"`
	Query        string    `json:"query,omitempty"`
	CommandID    string    `json:"command_id,omitempty"`
	RequestedBy  string    `json:"requested_by"`
	RequestedAt  time.Time `json:"requested_at"`
	ApprovedBy   string    `json:"approved_by,omitempty"`
	SentAt       time.Time `json:"sent_at,omitzero"`
	DoneAt       time.Time `json:"done_at,omitzero"`
	ExpiresAt    time.Time `json:"expires_at"`
	Error        string    `json:"error,omitempty"`
}

// Actions answers GET /api/v1/devices/{id}/actions, newest first.
type Actions struct {
	Actions []Action `json:"actions"`
	Next    string   `json:"next,omitempty"`
}

// ActionDetail answers GET /api/v1/devices/{id}/actions/{action}. Raw and Result
// may hold secrets: they are told to those alone who may order such an act.
type ActionDetail struct {
	Action
	Raw    string `json:"raw,omitempty"`    // the command in an admin's own words
	Result string `json:"result,omitempty"` // query and command: the phone's answer as an XML property list
}

// ActionPlan says what an act leads to, and why it cannot be done where it cannot.
type ActionPlan struct {
	Device        string           `json:"device"` // its name, which confirm must repeat
	NeedsConfirm  bool             `json:"needs_confirm"`
	NeedsApproval bool             `json:"needs_approval"`
	Commands      []PlannedCommand `json:"commands"`
	Effects       []string         `json:"effects"`
	Loses         []string         `json:"loses"`
	Refused       []*refusal.Error `json:"refused"`
}

// PlannedCommand is a command that an act would lead to.
type PlannedCommand struct {
	RequestType string `json:"request_type"`
	Subject     string `json:"subject,omitempty"`
}

// ActionOrdered answers POST /api/v1/devices/{id}/actions. Action is absent in a
// dry run, and where nothing is left to be done: a phone that keeps its own name.
type ActionOrdered struct {
	Action *Action    `json:"action,omitempty"`
	Plan   ActionPlan `json:"plan"`
}

func actionOf(a mdm.Action) Action {
	return Action{
		ID: string(a.ID), EnrollmentID: string(a.EnrollmentID), Kind: string(a.Kind), State: string(a.State),
		Message: a.Parameters.Message, PhoneNumber: a.Parameters.PhoneNumber, Name: a.Parameters.Name, Query: a.Parameters.Query,
		CommandID: string(a.CommandID), RequestedBy: a.RequestedBy, RequestedAt: a.RequestedAt, ApprovedBy: a.ApprovedBy,
		SentAt: a.SentAt, DoneAt: a.DoneAt, ExpiresAt: a.ExpiresAt, Error: a.Error,
	}
}

func planOf(p enroll.ActionPlan) ActionPlan {
	commands := make([]PlannedCommand, len(p.Commands))
	for i, c := range p.Commands {
		commands[i] = PlannedCommand(c)
	}
	return ActionPlan{
		Device: p.Device, NeedsConfirm: p.NeedsConfirm, NeedsApproval: p.NeedsApproval, Commands: commands,
		Effects: wire.List(p.Effects), Loses: wire.List(p.Loses), Refused: wire.List(p.Refused),
	}
}
