"""What an option file of ours may say."""
