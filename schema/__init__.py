"""What every part agrees on: settings, tables, states, messages, subtypes and errors."""
