package api

import (
	"encoding/json"
	"io"
	"reflect"
	"time"
)

// writeJSON writes v and a line break. Lists are never null: what the OpenAPI text calls an array is one.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(noNull(v))
}

// noNull returns a copy of v in which every nil slice is an empty one. It copies because v may be shared with the
// peer that returned it.
func noNull(v any) any {
	if v == nil {
		return nil
	}
	in := reflect.ValueOf(v)
	out := reflect.New(in.Type()).Elem()
	copyNoNull(out, in)
	return out.Interface()
}

func copyNoNull(out, in reflect.Value) {
	switch in.Kind() {
	case reflect.Slice:
		if in.Type().Elem().Kind() == reflect.Uint8 && !in.IsNil() {
			out.Set(in)
			return
		}
		out.Set(reflect.MakeSlice(in.Type(), in.Len(), in.Len()))
		for i := range in.Len() {
			copyNoNull(out.Index(i), in.Index(i))
		}
	case reflect.Pointer:
		if in.IsNil() {
			return
		}
		out.Set(reflect.New(in.Type().Elem()))
		copyNoNull(out.Elem(), in.Elem())
	case reflect.Struct:
		out.Set(in)
		if in.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range in.NumField() {
			if in.Type().Field(i).IsExported() {
				copyNoNull(out.Field(i), in.Field(i))
			}
		}
	default:
		out.Set(in)
	}
}
