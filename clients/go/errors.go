package lrtmesh

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrorDetails is what a failed call says.
type ErrorDetails struct {
	Code    codes.Code
	Message string
	// Reason is the server's, such as INVALID_ARGUMENT; empty where the failure is not the server's own.
	Reason string
	// Fields says what is wrong with each field, by its path in the request.
	Fields map[string]string
	// RetryAfter is the time after which another try makes sense; 0 where the server does not say.
	RetryAfter time.Duration
}

// Details takes the error of a call apart; false if it is not one of a call.
func Details(err error) (ErrorDetails, bool) {
	failed, ok := status.FromError(err)
	if !ok || err == nil {
		return ErrorDetails{}, false
	}
	details := ErrorDetails{Code: failed.Code(), Message: failed.Message(), Fields: map[string]string{}}
	for _, detail := range failed.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			details.Reason = detail.Reason
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				details.Fields[violation.Field] = violation.Description
			}
		case *errdetails.RetryInfo:
			details.RetryAfter = time.Duration(detail.GetRetryDelay().GetSeconds())*time.Second + time.Duration(detail.GetRetryDelay().GetNanos())
		}
	}
	return details, true
}
