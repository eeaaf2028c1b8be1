"""What every stage works with: context, ledger, blocks, sessions."""
