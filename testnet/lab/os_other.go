//go:build !linux

package lab

import "os"

func within(string, func() error) error { return ErrUnavailable }

func setting(string, string) error { return ErrUnavailable }

func openTUN(string) (*os.File, error) { return nil, ErrUnavailable }

func lockNew(string) (*os.File, error) { return nil, ErrUnavailable }

func lockOld(string) (*os.File, error) { return nil, ErrUnavailable }
