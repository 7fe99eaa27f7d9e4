"""What can be done, an operation each: `table` lists them; page, admin API and command line call them."""
