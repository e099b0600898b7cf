"""Scripts that train with toolkits that have no command of their own. Each stands alone and is started by its path, in a
folder of their own: beside a toolkit's file a script would import that one in place of the toolkit."""
